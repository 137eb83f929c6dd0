"""What real runs say, from their report.json: the learner's waiting for data, and success before and after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.conductor.record import Result, Row, without_host

WAIT_TARGET = 0.10  # share of the learner's time


class MeasurementError(RuntimeError):
    """A benchmark did not finish."""


def from_runs(reports: Sequence[Path]) -> list[Result]:
    """Both results, of every run once: `runs/*` finds the newest again, as `latest`. Raises MeasurementError."""
    once = list(dict.fromkeys(report.resolve() for report in reports))
    return [learner_wait(once[0]), main_job(once)]


def learner_wait(report: Path) -> Result:
    """The learner's waiting for data in one run. Raises MeasurementError where the learner never reported."""
    found = _read(report)
    share = found["time"]["learner_wait_share"]
    if share is None:
        raise MeasurementError(
            f"{report}: the learner did not report; name a run that reached its first stage of training"
        )
    row = {"name": "learner: time waiting for data / all of its time", "ratio": round(share, 4), "target": WAIT_TARGET}
    spent = {f"{part['name'].replace(' ', '_')}_s": round(part["seconds"], 1) for part in found["time"]["learner"]}
    return _result("learner", [found], [row | spent])


def main_job(reports: Sequence[Path]) -> Result:
    """Success of the Stage-2 policy and of the last one, a row per run. Raises MeasurementError for an unfinished run
    and for runs of different recipes or commits."""
    found = [_read(report) for report in reports]
    for report, each in zip(reports, found, strict=True):
        if each["reason"] != "done":
            raise MeasurementError(f"{report}: the run ended as '{each['reason']}'; name finished runs")
        for fact in ("recipe", "commit"):
            if each[fact] != found[0][fact]:
                raise MeasurementError(f"{report}: {fact} {each[fact]}, the first is of {found[0][fact]}")
    return _result("main_job", found, [row for each in found for row in _success(each)])


def _success(found: Mapping[str, Any]) -> list[Row]:
    tasks = [{"name": f"seed {found['seed']}, {each['task']}"} | _score(each) for each in found["results"]]
    stages = {f"{part['name'].replace(' ', '_')}_s": round(part["seconds"]) for part in found["time"]["stages"]}
    together = {"name": f"seed {found['seed']}, all tasks"} | _score(found["together"])
    whole = {"total_s": round(found["seconds"]), "peak_memory_gib": round(found["peak_memory_bytes"] / 2**30, 2)}
    return [together | stages | whole, *tasks]


def _score(both: Mapping[str, Any]) -> Row:
    return {when: _percent(both[when]) for when in ("before", "after")}


def _percent(score: Mapping[str, Any]) -> str:
    low, high = 100 * score["low"], 100 * score["high"]
    seconds = "" if score["mean_seconds"] is None else f", {score['mean_seconds']:.2f} s to success"
    return f"{score['successes']}/{score['trials']} ({low:.1f} to {high:.1f} %{seconds})"


def _read(report: Path) -> dict[str, Any]:
    try:
        return json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MeasurementError(f"{report}: {error}; name the report.json of finished runs") from None


def _result(name: str, found: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> Result:
    first, seeds = found[0], tuple(each["seed"] for each in found)
    return Result(
        name=name,
        command="; ".join(f"ramp run {each['recipe']} seed={each['seed']}" for each in found),
        commit=first["commit"],
        date=first["started"],
        machine=without_host(first["machine"]),
        seeds=seeds,
        seconds=round(sum(each["seconds"] for each in found), 1),
        rows=tuple(rows),
    )
