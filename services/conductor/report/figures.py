"""The report's charts, one function each, from the findings."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise

from services.conductor.quantities import clock, percent
from services.conductor.report.findings import CurvePoint, Findings, LossCurve, Rate, Share, ValueTrace
from services.conductor.report.frames import Film
from services.conductor.report.plot import Axis, Plot, Point, bars

LABEL_NAMES = {"stage2": "before", "interim": "in between", "final": "after"}
TOGETHER = "all tasks"
WIDE = 1040
LEAST_LOG_RANGE = 30.0  # a loss that falls by less is drawn on a linear scale


def thousands(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"


def success_curves(findings: Findings) -> list[tuple[str, str]]:
    """(task, chart) of success against environment steps; all tasks together first."""
    tasks = [result.task for result in findings.results]
    names = [TOGETHER, *tasks] if len(tasks) > 1 else tasks
    last = max((point.env_steps for point in findings.curve), default=0)
    return [(name, _success_curve(findings.curve, name, index, last)) for index, name in enumerate(names)]


def _success_curve(curve: Sequence[CurvePoint], name: str, index: int, last: int) -> str:
    rates = [(point, point.together if name == TOGETHER else point.tasks.get(name)) for point in curve]
    known = [(point, rate) for point, rate in rates if rate is not None]
    margin = max(1, last) * 0.04
    plot = Plot(
        x=Axis(low=-margin, high=max(1, last) + margin, label="rollout steps", write=thousands, num_ticks=4),
        y=Axis(low=0.0, high=1.0, write=percent, num_ticks=4),
        title=f"success of {name} against environment steps",
    )
    cls = f"s{index % 8}"
    plot.line([(point.env_steps, rate.rate) for point, rate in known], cls)
    for point, rate in known:
        plot.whisker(point.env_steps, rate.low, rate.high, f"{cls} {point.label}")
        plot.dot((point.env_steps, rate.rate), f"{cls} {point.label}", _success_text(point, rate))
    return plot.svg()


def _success_text(point: CurvePoint, rate: Rate) -> str:
    what = f"{LABEL_NAMES.get(point.label, point.label)}: policy {point.policy_version}, {point.env_steps:,} steps"
    return f"{what}\n{rate.successes}/{rate.trials} = {percent(rate.rate)} [{percent(rate.low)}, {percent(rate.high)}]"


def value_figure(trace: ValueTrace, film: Film | None, limit: int | None) -> str:
    """Predicted remaining time along an episode; `limit` is the task's time limit in steps."""
    highest = max([1.0 if limit is None else trace.steps / limit, *(value for _, value in trace.points)])
    plot = Plot(
        x=Axis(low=0, high=trace.steps, label="step", num_ticks=8),
        y=Axis(low=0, high=min(1.0, max(0.2, 1.05 * highest)), num_ticks=4),
        width=WIDE,
        height=230,
        title=f"predicted remaining time along a {trace.outcome}",
    )
    cls = "good" if trace.outcome == "success" else "bad"
    for first, last in film.human if film else ():
        plot.zone(first, last + 1, "human", "a person drives")
    if limit and trace.outcome == "success":
        plot.line([(0, trace.steps / limit), (trace.steps, 0.0)], "ideal")
    points: list[Point] = [(step, value) for step, value in trace.points]
    plot.band([(step, 0.0) for step, _ in points], points, cls)
    plot.line(points, cls)
    for step, value in points:
        plot.dot((step, value), cls, f"step {step}: {percent(value)} of the time limit remains", radius=2.6)
    scale = (
        f'data-left="{plot.left / plot.width}" data-right="{1 - plot.right / plot.width}" data-steps="{trace.steps}"'
    )
    return plot.svg(cls="value", data=scale)


def intervention_chart(findings: Findings) -> str:
    """Share of steps by a person, and success of the rollouts, window by window."""
    windows = findings.rollouts
    plot = Plot(
        x=Axis(low=0, high=max(1, windows[-1].env_steps), label="rollout steps", write=thousands, num_ticks=8),
        y=Axis(low=0.0, high=1.0, write=percent, num_ticks=4),
        width=WIDE,
        height=230,
        title="interventions",
    )
    people = [(float(w.env_steps), w.human_share) for w in windows]
    success = [(float(w.env_steps), w.success) for w in windows]
    plot.band([(x, 0.0) for x, _ in people], people, "person")
    plot.line(people, "person")
    plot.line(success, "s0")
    for window in windows:
        text = (
            f"until step {window.env_steps:,}, {window.episodes} episodes: {percent(window.human_share)} of the steps"
        )
        plot.dot(
            (window.env_steps, window.human_share),
            "person",
            f"{text} by a person, {window.takeovers:.1f} takeovers each",
        )
        plot.dot((window.env_steps, window.success), "s0", f"{percent(window.success)} of {window.episodes} succeeded")
    return plot.svg()


def age_chart(findings: Findings) -> str:
    """How old the policies were that rollouts came from."""
    windows = findings.rollouts
    points = [(float(w.env_steps), w.policy_age) for w in windows]
    plot = Plot(
        x=Axis(low=0, high=max(1, windows[-1].env_steps), label="rollout steps", write=thousands, num_ticks=4),
        y=Axis(low=0.0, high=max(1.0, 1.1 * max(y for _, y in points)), num_ticks=4),
        width=500,
        height=240,
        title="age of the policies behind the rollouts, in versions",
    )
    plot.line(points, "s4")
    for point in points:
        plot.dot(point, "s4", f"{point[1]:.2f} versions behind the newest", radius=3)
    return plot.svg()


def loss_charts(findings: Findings) -> list[tuple[str, str]]:
    """(name, chart) of every loss over time, with the stages behind."""
    return [(curve.name, _loss_chart(curve, index, findings)) for index, curve in enumerate(findings.losses)]


def _loss_chart(curve: LossCurve, index: int, findings: Findings) -> str:
    values = [value for _, value in curve.points]
    low, high = min(values), max(values)
    log = low > 0 and high / low > LEAST_LOG_RANGE
    pad = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
    from_zero = 0 <= low <= 0.6 * high
    bounds = (low / 1.3, high * 1.3) if log else (0.0 if from_zero else low - pad, high + pad)
    plot = Plot(
        x=Axis(low=0, high=max(1.0, findings.seconds / 60), label="minutes", num_ticks=5),
        y=Axis(low=bounds[0], high=bounds[1], log=log, num_ticks=4, write=lambda value: f"{value:.3g}"),
        height=190,
        title=curve.name,
    )
    for name, start, end in stage_zones(findings.time.stages):
        plot.zone(start / 60, end / 60, f"stage-{name.split()[0]}", name)
    for run in unbroken(curve.points):
        plot.line([(seconds / 60, value) for seconds, value in run], f"s{index % 8}")
        if len(run) == 1:
            plot.dot((run[0][0] / 60, run[0][1]), f"s{index % 8}", f"{run[0][1]:.4g}", radius=2.5)
    return plot.svg()


def unbroken(points: Sequence[Point]) -> list[list[Point]]:
    """The points in runs between which this loss was not trained: no line is drawn across."""
    gaps = sorted(after[0] - before[0] for before, after in pairwise(points))
    widest = 5 * gaps[len(gaps) // 2] if gaps else 0.0
    runs: list[list[Point]] = []
    for point in points:
        if runs and point[0] - runs[-1][-1][0] <= widest:
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def stage_zones(stages: Sequence[Share]) -> list[tuple[str, float, float]]:
    """(stage, start, end) in seconds; the stages of a run follow each other without gaps."""
    zones, start = [], 0.0
    for share in stages:
        zones.append((share.name, start, start + share.seconds))
        start += share.seconds
    return zones


def time_bar(shares: Sequence[Share]) -> str:
    total = sum(share.seconds for share in shares)
    return bars(
        [(share.name, share.seconds, f"{clock(share.seconds)}, {percent(share.seconds / total)}") for share in shares],
        total=total,
        width=WIDE,
    )


def time_key(shares: Sequence[Share]) -> str:
    """The bar's parts in words."""
    total = sum(share.seconds for share in shares)
    items = [
        f'<li><i class="s{index % 8}"></i>{escape(share.name)} <b>{clock(share.seconds)}</b> '
        f"{percent(share.seconds / total)}</li>"
        for index, share in enumerate(shares)
    ]
    return f'<ul class="key">{"".join(items)}</ul>'
