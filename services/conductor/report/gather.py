"""From the journal's events to the report's findings. Pure functions; nothing here reads a file or a clock."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TypeVar

from ramp.evaluation.success import wilson
from services.conductor import journal
from services.conductor.journal import Event
from services.conductor.report.counted import counted
from services.conductor.report.elapsed import Elapsed
from services.conductor.report.findings import (
    SCHEMA,
    Collected,
    CurvePoint,
    Findings,
    LossCurve,
    ProcessEvent,
    Rate,
    RolloutWindow,
    TableRow,
    TaskResult,
    ValueTrace,
    VersionRow,
)
from services.conductor.report.spent import time_spent

E = TypeVar("E", bound=Event)
Aliases = Mapping[tuple[str, str], int]
"""(kind, alias) -> the version it points to."""

WINDOW_EPISODES = 12
"""Rollouts that one point of the intervention curve averages over, unless there are many."""
MAX_WINDOWS = 60
MAX_LOSS_POINTS = 400
MAX_TRIES = 20  # episodes whose frames are asked for before the figure goes without


def gather(
    events: Sequence[Event],
    run_dir: str,
    has_frames: Callable[[str], bool] = lambda _: True,
    aliases: Aliases = MappingProxyType({}),
) -> Findings:
    """The findings of a journal; of an interrupted or a running run as far as it got.

    `has_frames` says of an episode id whether its frames can be shown; the value figure prefers such episodes.
    `aliases`: where they point now, as far as that is known; the journal knows where they pointed once.
    """
    events = counted(events)
    elapsed = Elapsed.of(events)
    curve = _curve(_all(events, journal.Evaluation), elapsed)
    finished = _last(events, journal.RunFinished)
    started = _all(events, journal.RunStarted)
    first = started[0] if started else journal.RunStarted(recipe="unknown", settings={}, machine={}, commit="")
    usage = max(_all(events, journal.Usage), key=lambda event: event.total_bytes, default=None)
    ended = finished is not None and finished is _last(events, journal.RunStarted, journal.RunFinished)
    return Findings(
        schema=SCHEMA,
        recipe=first.recipe,
        seed=first.settings.get("seed"),
        run_dir=run_dir,
        commit=first.commit,
        started=datetime.fromtimestamp(first.t, UTC).isoformat(timespec="seconds"),
        reason=finished.reason if finished is not None and ended else "running",
        resumes=sum(event.resumed for event in started),
        seconds=elapsed.total,
        results=_results(curve),
        together=_together(curve),
        curve=curve,
        traces=choose_traces(events, has_frames),
        rollouts=_windows(events, elapsed),
        losses=_losses(_all(events, journal.Learner), elapsed),
        time=time_spent(events, elapsed),
        collected=_collected(_all(events, journal.Episode)),
        versions=_versions(_all(events, journal.Version), elapsed, aliases),
        tables=_tables(_last(events, journal.Replay)),
        processes=_processes(_all(events, journal.Process), elapsed),
        peak_memory_bytes=max((event.peak_bytes for event in _all(events, journal.Usage)), default=0),
        memory_bytes_by_role=dict(usage.memory_bytes) if usage else {},
        machine=dict(first.machine),
        settings=dict(started[-1].settings if started else {}),
    )


def rate_of(
    successes: int, trials: int, mean_steps: float | None = None, mean_seconds: float | None = None
) -> Rate | None:
    """None where there were no trials."""
    if trials == 0:
        return None
    low, high = wilson(successes, trials)
    return Rate(
        successes=successes,
        trials=trials,
        rate=successes / trials,
        low=low,
        high=high,
        mean_steps=_finite(mean_steps),
        mean_seconds=_finite(mean_seconds),
    )


def choose_traces(events: Sequence[Event], has_frames: Callable[[str], bool]) -> tuple[ValueTrace, ...]:
    """One success and one failure among the rollouts, for the value figure.

    On the same task where that exists; without a person's help and by the newest policy where that exists.
    """
    summaries = [event.summary for event in _all(events, journal.Episode) if len(event.summary.values) > 1]
    rollouts = [summary for summary in summaries if summary.purpose == "rollout"]
    won = [summary for summary in rollouts if summary.outcome == "success"]
    lost = [summary for summary in rollouts if summary.outcome == "failure"]
    wins, losses = Counter(summary.task for summary in won), Counter(summary.task for summary in lost)
    task = max(wins.keys() & losses.keys(), key=lambda name: (min(wins[name], losses[name]), name), default=None)
    chosen = []
    for candidates in (won, lost):
        candidates = [summary for summary in candidates if task in (None, summary.task)]
        best = sorted(candidates, key=lambda s: (s.human_steps > 0, -s.policy_version, s.human_steps))[:MAX_TRIES]
        chosen += [next((summary for summary in best if has_frames(summary.episode_id)), best[0])] if best else []
    return tuple(
        ValueTrace(
            episode_id=summary.episode_id,
            task=summary.task,
            outcome=summary.outcome.value,
            policy_version=summary.policy_version,
            steps=summary.steps,
            human_steps=summary.human_steps,
            points=summary.values,
        )
        for summary in chosen
    )


def _all(events: Iterable[Event], kind: type[E]) -> list[E]:
    return [event for event in events if isinstance(event, kind)]


def _last(events: Sequence[Event], *kinds: type[E]) -> E | None:
    return next((event for event in reversed(events) if isinstance(event, kinds)), None)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _pool(tasks: Mapping[str, journal.TaskResult]) -> Rate | None:
    """All tasks together; the times are means over all successes."""
    results = list(tasks.values())
    successes = sum(result.successes for result in results)
    steps = sum(result.mean_steps * result.successes for result in results if result.successes)
    seconds = sum(result.mean_seconds * result.successes for result in results if result.successes)
    mean_steps, mean_seconds = (steps / successes, seconds / successes) if successes else (None, None)
    return rate_of(successes, sum(result.episodes for result in results), mean_steps, mean_seconds)


def _curve(evaluations: Sequence[journal.Evaluation], elapsed: Elapsed) -> tuple[CurvePoint, ...]:
    points = []
    for event in evaluations:
        together = _pool(event.tasks)
        rates = {
            task: rate_of(result.successes, result.episodes, result.mean_steps, result.mean_seconds)
            for task, result in event.tasks.items()
        }
        if together is not None:
            points.append(
                CurvePoint(
                    label=event.label,
                    policy_version=event.policy_version,
                    env_steps=event.env_steps,
                    seconds=elapsed.at(event.t),
                    together=together,
                    tasks={task: rate for task, rate in rates.items() if rate is not None},
                )
            )
    return tuple(sorted(points, key=lambda point: (point.env_steps, journal.LABELS.index(point.label))))


def _labelled(curve: Sequence[CurvePoint], label: str) -> CurvePoint | None:
    return next((point for point in reversed(curve) if point.label == label), None)


def _results(curve: Sequence[CurvePoint]) -> tuple[TaskResult, ...]:
    before, after = _labelled(curve, "stage2"), _labelled(curve, "final")
    tasks = dict.fromkeys(task for point in curve for task in point.tasks)
    return tuple(
        TaskResult(
            task=task,
            before=before.tasks.get(task) if before else None,
            after=after.tasks.get(task) if after else None,
        )
        for task in tasks
    )


def _together(curve: Sequence[CurvePoint]) -> TaskResult:
    before, after = _labelled(curve, "stage2"), _labelled(curve, "final")
    return TaskResult(task="", before=before.together if before else None, after=after.together if after else None)


def _windows(events: Sequence[Event], elapsed: Elapsed) -> tuple[RolloutWindow, ...]:
    rows, newest, env_steps = [], 0, 0
    for event in events:
        if isinstance(event, journal.Version) and event.kind == "policy":
            newest = max(newest, event.version)
        elif isinstance(event, journal.Episode) and event.summary.purpose == "rollout":
            env_steps += event.summary.steps
            rows.append((event, env_steps, max(0, newest - event.summary.policy_version)))
    width = max(WINDOW_EPISODES, math.ceil(len(rows) / MAX_WINDOWS))
    return tuple(_window(rows[start : start + width], elapsed) for start in range(0, len(rows), width))


def _window(rows: Sequence[tuple[journal.Episode, int, int]], elapsed: Elapsed) -> RolloutWindow:
    summaries = [event.summary for event, _, _ in rows]
    count = len(summaries)
    return RolloutWindow(
        env_steps=rows[-1][1],
        seconds=elapsed.at(rows[-1][0].t),
        episodes=count,
        human_share=sum(s.human_steps for s in summaries) / max(1, sum(s.steps for s in summaries)),
        takeovers=sum(s.interventions for s in summaries) / count,
        success=sum(s.outcome == "success" for s in summaries) / count,
        policy_age=sum(age for _, _, age in rows) / count,
    )


def _losses(reports: Sequence[journal.Learner], elapsed: Elapsed) -> tuple[LossCurve, ...]:
    curves: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for event in reports:
        for name, value in event.losses.items():
            if math.isfinite(value):
                curves[name].append((elapsed.at(event.t), value))
    return tuple(LossCurve(name=name, points=_thinned(points)) for name, points in curves.items())


def _thinned(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """At most MAX_LOSS_POINTS means of neighbours."""
    width = math.ceil(len(points) / MAX_LOSS_POINTS)
    groups = [points[start : start + width] for start in range(0, len(points), width)]
    return tuple((group[-1][0], sum(value for _, value in group) / len(group)) for group in groups)


def _collected(episodes: Sequence[journal.Episode]) -> dict[str, Collected]:
    counts: dict[str, list[int]] = {}
    for event in episodes:
        counts.setdefault(event.summary.purpose, []).append(event.summary.steps)
    return {purpose: Collected(episodes=len(steps), steps=sum(steps)) for purpose, steps in counts.items()}


def _versions(events: Sequence[journal.Version], elapsed: Elapsed, aliases: Aliases) -> tuple[VersionRow, ...]:
    """Each version once, as it was first seen; each alias at the one version that holds it."""
    holders = {(event.kind, name): event.version for event in events for name in event.aliases} | dict(aliases)
    first = {(event.kind, event.version): event for event in reversed(events)}
    return tuple(
        VersionRow(
            kind=event.kind,
            version=event.version,
            seconds=elapsed.at(event.t),
            stage=event.stage,
            update=event.update,
            world_version=event.world_version,
            aliases=tuple(name for (kind, name), at in holders.items() if (kind, at) == (event.kind, event.version)),
        )
        for event in sorted(first.values(), key=lambda event: event.t)
    )


def _tables(event: journal.Replay | None) -> tuple[TableRow, ...]:
    return tuple(
        TableRow(
            name=name,
            episodes=table.episodes,
            steps=table.steps,
            items=table.items,
            sampled_per_insert=table.sampled / table.inserted if table.inserted else None,
            sample_wait_seconds=table.sample_wait_s,
            insert_wait_seconds=table.insert_wait_s,
            labelled=table.labelled,
        )
        for name, table in (event.tables if event else {}).items()
    )


def _processes(events: Sequence[journal.Process], elapsed: Elapsed) -> tuple[ProcessEvent, ...]:
    return tuple(
        ProcessEvent(seconds=elapsed.at(event.t), name=event.name, what=event.what, detail=event.detail)
        for event in events
        if event.what not in ("started", "stopped")
    )
