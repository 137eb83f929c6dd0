"""`ramp eval`: success of a registered policy on held-out starts."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ramp.types import EpisodeSummary
from services.cli.options import Dir, Json

ALL = "all tasks"
Said = Mapping[str, Sequence[tuple[int, str]]]
"""Task -> (step, subgoal)."""


def evaluate(
    dir_: Dir = None,
    version: Annotated[str, typer.Option("--version", "-v", help="A number, or final, latest, stage2.")] = "final",
    episodes: Annotated[
        int | None, typer.Option("--episodes", "-n", min=1, help="Per task.", show_default="the run's own number")
    ] = None,
    thoughts: Annotated[
        bool, typer.Option("--thoughts", help="Also print what a policy that thinks says it is about, once per task.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Evaluate one version of a run's policy on the fixed held-out seeds, with I = 1 and nobody helping.

    Prints successes with their 95 % Wilson interval, and the mean time to success.

    \b
    Examples:
      ramp eval
      ramp eval --version stage2 --episodes 100
      ramp eval --dir runs/try --version 7 --json
      ramp eval --thoughts --episodes 5
    """
    from services.common.settings import load_settings
    from services.conductor import evaluation, rundir

    found = rundir.find(dir_)
    settings = load_settings(found.settings)
    number = evaluation.find_version(evaluation.DirectoryRegistry(found.registry), version)
    todo = evaluation.assignments(settings, number, episodes or settings.evaluation.episodes_per_task)
    if thoughts:
        todo = evaluation.thinking_aloud(settings, todo)
    lock = rundir.Lock(found)
    results: dict[str, list[EpisodeSummary]] = defaultdict(list)
    try:
        for summary in evaluation.evaluate(settings, found, todo, _tell):
            results[summary.task].append(summary)
    finally:
        lock.release()
    rows = [_row(task, results[task]) for task in settings.tasks]
    rows.append(_row(ALL, [episode for task in settings.tasks for episode in results[task]]))
    said = {task: spoken(results[task]) for task in settings.tasks} if thoughts else {}
    _print_json(number, rows, said) if as_json else _print_table(number, rows, said)
    return 0


def spoken(episodes: Sequence[EpisodeSummary]) -> list[tuple[int, str]]:
    """The steps of the task's episode that was told aloud at which the policy says something new, and what."""
    told = [pair for episode in episodes for pair in episode.thoughts]
    before = ["", *(text for _, text in told)]
    return [(step, text) for (step, text), last in zip(told, before, strict=False) if text != last]


def _row(task: str, episodes: Sequence[EpisodeSummary]) -> dict[str, Any]:
    from ramp.evaluation.success import wilson
    from services.conductor.ledger import result

    found = result(episodes)
    low, high = wilson(found.successes, found.episodes)
    return {
        "task": task,
        "successes": found.successes,
        "episodes": found.episodes,
        "low": low,
        "high": high,
        "mean_steps": _or_none(found.mean_steps),
        "mean_seconds": _or_none(found.mean_seconds),
    }


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _print_json(version: int, rows: Sequence[Mapping[str, Any]], said: Said) -> None:
    print(json.dumps({"policy_version": version, "results": list(rows)} | ({"thoughts": said} if said else {})))


def _print_table(version: int, rows: Sequence[Mapping[str, Any]], said: Said) -> None:
    width = max(len(row["task"]) for row in rows)
    print(f"policy version {version}")
    for row in rows:
        rate = row["successes"] / max(row["episodes"], 1)
        took = f"{row['mean_seconds']:.1f} s to success" if row["mean_seconds"] is not None else ""
        interval = f"[{100 * row['low']:3.0f}, {100 * row['high']:3.0f}]"
        print(
            f"{row['task']:{width}}  {row['successes']:4}/{row['episodes']:<4} {100 * rate:4.0f} % {interval}  {took}"
        )
    for task, told in said.items():
        for step, text in told:
            print(f"{task:{width}}  step {step:4}: {text}")


def _tell(message: str) -> None:
    print(message, file=sys.stderr)
