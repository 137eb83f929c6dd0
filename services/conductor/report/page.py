"""The report as one HTML file without any outside resource."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from services.conductor.quantities import clock, percent, size
from services.conductor.report import figures, plot
from services.conductor.report.findings import Findings, Rate, TaskResult, ValueTrace
from services.conductor.report.frames import Film

STRIP_FRAMES = 12  # beneath a value chart; all frames are under the pointer


def page(findings: Findings, films: Mapping[str, Film | None]) -> str:
    """`films`: by episode id, for the traces."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(
        clock=clock,
        percent=percent,
        size=size,
        interval=lambda rate, cls: Markup(plot.interval(rate.rate, rate.low, rate.high, cls)),
        change=change,
        bounds=bounds,
        time_bar=lambda shares: Markup(figures.time_bar(shares)),
        time_key=lambda shares: Markup(figures.time_key(shares)),
        film_json=_film_json,
    )
    template = environment.from_string(_read("page.html"))
    return template.render(**_content(findings, films))


def verdict(together: TaskResult) -> str:
    """What the before-and-after comparison says, in one sentence."""
    before, after = together.before, together.after
    if before is None:
        return "The run has not reached its first evaluation."
    if after is None:
        return f"Stage 2's policy succeeds in {_spoken(before)}. The last version has not been evaluated."
    if after.low > before.high:
        judgement = "The interval after lies above the interval before."
    elif after.low > before.rate:
        judgement = "The interval after lies above the rate before; the two intervals overlap."
    elif after.high < before.low:
        judgement = "The interval after lies below the interval before."
    else:
        judgement = "The rate before lies inside the interval after: no difference is shown."
    return f"From {_spoken(before)} to {_spoken(after)}. {judgement}"


def _spoken(rate: Rate) -> str:
    bounds = f"{percent(rate.low)} to {percent(rate.high)}"
    return f"{percent(rate.rate)} of {rate.trials} episodes (95 % interval {bounds})"


def _content(findings: Findings, films: Mapping[str, Film | None]) -> dict[str, Any]:
    return {
        "f": findings,
        "style": Markup(_read("page.css")),
        "script": Markup(_read("page.js")),
        "verdict": verdict(findings.together),
        "total_steps": sum(part.steps for part in findings.collected.values()),
        "total_episodes": sum(part.episodes for part in findings.collected.values()),
        "curves": _marked(figures.success_curves(findings)) if findings.curve else [],
        "rows": [*findings.results, *([findings.together] if len(findings.results) > 1 else [])],
        "traces": [_trace(trace, films.get(trace.episode_id), findings) for trace in findings.traces],
        "interventions": Markup(figures.intervention_chart(findings)) if findings.rollouts else "",
        "ages": Markup(figures.age_chart(findings)) if findings.rollouts else "",
        "losses": _marked(figures.loss_charts(findings)),
        "times": _times(findings),
        "machine": _tree(findings.machine),
        "settings": _tree(findings.settings),
    }


def _marked(charts: Sequence[tuple[str, str]]) -> list[tuple[str, Markup]]:
    return [(name, Markup(chart)) for name, chart in charts]


def _trace(
    trace: ValueTrace, film: Film | None, findings: Findings
) -> tuple[ValueTrace, Markup, Film | None, list[int]]:
    limit = findings.settings.get("env", {}).get("max_steps")
    film = film if film and film.steps else None
    return trace, Markup(figures.value_figure(trace, film, limit)), film, strip(film, trace.steps) if film else []


def strip(film: Film, length: int) -> list[int]:
    """Indices of the frames nearest to the middles of equal parts of the episode."""
    count = min(STRIP_FRAMES, len(film.steps))
    middles = [(part + 0.5) / count * length for part in range(count)]
    return [min(range(len(film.steps)), key=lambda index: abs(film.steps[index] - middle)) for middle in middles]


def _times(findings: Findings) -> list[tuple[str, Any, str]]:
    time = findings.time
    speed = (
        f"{time.actor_steps_per_s:.0f} environment steps per second of episode time." if time.actor_steps_per_s else ""
    )
    wait = time.learner_wait_share
    waited = f"{100 * wait:.1f} % of the learner's time went into waiting for data." if wait is not None else ""
    return [
        ("the run, by stage", time.stages, ""),
        ("actors, added up", time.actors, speed),
        ("learner, while it trains", time.learner, waited),
    ]


def bounds(rate: Rate) -> str:
    return f"{100 * rate.low:.0f} to {100 * rate.high:.0f} %"


def change(row: TaskResult, name: str, form: str, unit: str) -> str:
    """A mean of the successes before and after; a dash where there was none, nothing where nobody succeeded."""
    means = [getattr(rate, name) for rate in (row.before, row.after) if rate is not None]
    if all(mean is None for mean in means):
        return ""
    return " → ".join("-" if mean is None else form % mean for mean in means) + f" {unit}"


def _film_json(film: Film) -> Markup:
    """For the page's script; base64 and numbers cannot end the script element."""
    return Markup(json.dumps({"steps": film.steps, "cameras": list(film.cameras.values())}))


def _tree(values: Mapping[str, Any]) -> str:
    """A settings tree as YAML; through JSON, because YAML would name Python's tuples."""
    if not values:
        return "not recorded"
    return yaml.safe_dump(json.loads(json.dumps(values)), sort_keys=False, allow_unicode=True)


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
