"""Where the arms of a comparison are trained and tried: replay, Redis and actors over a finished run's directory."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ramp.types import EpisodeSummary, Outcome
from services.common.settings import Settings, load_settings, save
from services.conductor.evaluation import assignments, drain, find_version, staffed
from services.conductor.fleet import Fleet
from services.conductor.rundir import RunDir
from services.conductor.study.child import ask

Tell = Callable[[str], None]
Trained = Callable[[int, float], None]  # update, loss
START = "stage2"  # the alias of the policy that every arm starts from

UNLIMITED = 1e15  # slack of a rate limiter that never holds anybody: nothing is inserted any more


@contextlib.contextmanager
def opened(rundir: RunDir, tell: Tell) -> Iterator[Field]:
    """One at a time in a process, as Ray is one. Raises Unavailable where a part does not start."""
    settings = _without_limit(rundir)
    with staffed(settings, rundir, tell) as fleet:
        yield Field(fleet, settings, rundir, tell)


class Field:
    """Trains from one policy, the run's Stage-2 one, and tries what came of it."""

    def __init__(self, fleet: Fleet, settings: Settings, rundir: RunDir, tell: Tell) -> None:
        """Raises NotFound where the run has no Stage-2 policy."""
        self.settings = settings
        self.start = find_version(fleet.registry, START)
        self._fleet, self._rundir, self._tell = fleet, rundir, tell

    def train(self, overrides: Sequence[str], tell: Trained) -> int:
        """The version that a learner process publishes; see services/learner/offline.py. Raises RampError."""
        words = ["--settings", str(self._rundir.settings), "--replay", self._fleet.replay_address, "--start", START]
        log = self._rundir.log("offline")
        said = ask("services.learner.offline", [*words, *overrides], log, lambda at: tell(at["update"], at["loss"]))
        return int(said["version"])

    def evaluate(
        self,
        version: int,
        tasks: Sequence[str],
        episodes_per_task: int,
        first_seed: int,
        *,
        efficient: bool,
        indicator: int,
    ) -> Iterator[EpisodeSummary]:
        """As they come in; a task has the same starts whichever others are tried. Raises Unavailable, Invalid,
        Corrupt."""
        evaluation = replace(self.settings.evaluation, first_seed=first_seed)
        held_out = replace(self.settings, tasks=tuple(tasks), evaluation=evaluation)
        todo = assignments(held_out, version, episodes_per_task)
        todo = [replace(each, efficient=efficient, indicator=indicator) for each in reversed(todo)]
        return drain(self._fleet.crew, todo, self._tell)


def outcome(episode: EpisodeSummary) -> dict[str, Any]:
    """What a table needs of an evaluated episode."""
    return {
        "task": episode.task,
        "seed": episode.seed,
        "success": episode.outcome == Outcome.SUCCESS,
        "steps": episode.steps,
        "seconds": episode.extra["robot_s"],
        "decision_s": episode.inference_seconds / max(len(episode.values), 1),
    }


def _without_limit(rundir: RunDir) -> Settings:
    settings = load_settings(rundir.settings)
    free = replace(settings, dir=str(rundir.path), sampling=replace(settings.sampling, slack=UNLIMITED))
    save(free, rundir.settings)
    return free
