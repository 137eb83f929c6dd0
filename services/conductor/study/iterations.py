"""Success over rounds of collecting and training, with and without a person who corrects: `ramp bench iterations`.

Rounds have no walls between them here: the learner publishes by and by, and every so many versions one is tried on the
held-out starts while collecting and training go on. A round is what lies between two such trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ramp.evaluation.success import wilson
from services.conductor import journal
from services.conductor.study.data import collect, data

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """Whole runs of one recipe, told apart by whether a person may take over."""

    recipe: str = "metaworld"
    seeds: tuple[int, ...] = (0, 1, 2)
    settings: tuple[str, ...] = ("evaluation.interim_every=2", "evaluation.interim_episodes_per_task=20")
    arms: tuple[tuple[str, tuple[str, ...]], ...] = (
        ("with corrections", ()),
        ("without corrections", ("takeover.max_takeovers=0",)),
    )


def quick(rounds: Rounds) -> Rounds:
    """Ten minutes on two cores: shows that everything works, and no more."""
    return replace(rounds, recipe="debug", seeds=(0,), settings=())


def measure(rounds: Rounds, folder: Path) -> list[Row]:
    """A row per arm and round, over all seeds. A run that was stopped goes on, a finished one is read.

    Raises RampError where a run ends otherwise.
    """
    rows = []
    for name, settings in rounds.arms:
        runs = [run(rounds, folder, seed, name, settings) for seed in rounds.seeds]
        rows += trials(name, [[e for e in events if isinstance(e, journal.Evaluation)] for events in runs])
    return rows


def run(rounds: Rounds, folder: Path, seed: int, arm: str, settings: Sequence[str]) -> list[journal.Event]:
    """The journal of a finished run. Raises RampError; Invalid where other settings have made what lies there."""
    home = folder / arm.replace(" ", "-")
    collect(rounds.recipe, [*rounds.settings, *settings], home, seed)
    return list(journal.read(data(home, seed).journal))


def trials(arm: str, runs: Sequence[Sequence[journal.Evaluation]]) -> list[Row]:
    """The n-th trial of every run, together; what only some of the runs have reached is left out."""
    ordered = [sorted(run, key=lambda trial: trial.policy_version) for run in runs]
    return [_row(f"{arm}, round {index}", together) for index, together in enumerate(zip(*ordered, strict=False))]


def _row(name: str, together: Sequence[journal.Evaluation]) -> Row:
    results = [result for trial in together for result in trial.tasks.values()]
    won, tried = sum(each.successes for each in results), sum(each.episodes for each in results)
    low, high = wilson(won, tried)
    return {
        "name": name,
        "success": f"{won}/{tried} ({100 * low:.1f} to {100 * high:.1f} %)",
        "rollout_steps": round(sum(trial.env_steps for trial in together) / len(together)),
        "policy_version": " ".join(str(trial.policy_version) for trial in together),
    }
