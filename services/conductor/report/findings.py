"""What a run's report says, as plain values: the schema of report.json, and what the page is drawn from.

Conventions: rates and shares lie in [0, 1]; seconds are seconds in which a conductor was alive, so that the hours
between a crash and its `--resume` do not count; None means that the run did not get that far.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = "ramp.report/1"
"""Changes with every field that is renamed or removed; new fields leave it as it is."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Successes out of trials with the bounds of the 95 % Wilson interval."""

    successes: int
    trials: int
    rate: float
    low: float
    high: float
    mean_steps: float | None = None  # to success, of the successes; environment steps
    mean_seconds: float | None = None  # the same at the robot's control rate


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """One task before (stage 2's policy) and after (the last one); `task` "" is all tasks together."""

    task: str
    before: Rate | None
    after: Rate | None


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One evaluation: a point of the success curve."""

    label: str  # stage2, interim or final
    policy_version: int
    env_steps: int  # of rollouts, when the evaluation began
    seconds: float
    together: Rate
    tasks: Mapping[str, Rate]


@dataclass(frozen=True, kw_only=True)
class LossCurve:
    """One loss over time; points are (seconds, value)."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class RolloutWindow:
    """Consecutive rollouts, as collected with people in the loop."""

    env_steps: int  # of rollouts, at the window's end
    seconds: float
    episodes: int
    human_share: float  # of the steps
    takeovers: float  # per episode
    success: float  # of the episodes, however they ended
    policy_age: float  # mean, in published versions behind the newest when the episode was handed in


@dataclass(frozen=True, kw_only=True)
class Share:
    """A part of some time."""

    name: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TimeSpent:
    """Where the time went. `actors` adds up over all actors, `learner` over its reports."""

    stages: tuple[Share, ...]
    actors: tuple[Share, ...]
    learner: tuple[Share, ...]
    learner_wait_share: float | None
    actor_steps_per_s: float | None  # environment steps per second of an actor's episode time


@dataclass(frozen=True, kw_only=True)
class VersionRow:
    """One published version."""

    kind: str
    version: int
    seconds: float
    stage: str
    update: int
    world_version: int
    aliases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ProcessEvent:
    """A process died, was restarted ...; plain starts and stops are left out."""

    seconds: float
    name: str
    what: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """A replay table at the end."""

    name: str
    episodes: int
    steps: int
    items: int
    sampled_per_insert: float | None
    sample_wait_seconds: float
    insert_wait_seconds: float
    labelled: float


@dataclass(frozen=True, kw_only=True)
class ValueTrace:
    """Predicted remaining time along one rollout; `points` are (step, remaining share of the task's limit)."""

    episode_id: str
    task: str
    outcome: str
    policy_version: int
    steps: int
    human_steps: int
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, kw_only=True)
class Collected:
    """Episodes and environment steps of one purpose."""

    episodes: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The whole report."""

    schema: str
    recipe: str
    seed: int | None
    run_dir: str
    commit: str
    started: str  # ISO 8601, UTC
    reason: str  # "done", "interrupted", "failed: ...", or "running" where the run has not ended in order
    resumes: int
    seconds: float
    results: tuple[TaskResult, ...]
    together: TaskResult
    curve: tuple[CurvePoint, ...]
    traces: tuple[ValueTrace, ...]
    rollouts: tuple[RolloutWindow, ...]
    losses: tuple[LossCurve, ...]
    time: TimeSpent
    collected: Mapping[str, Collected]  # by purpose: demo, rollout, eval
    versions: tuple[VersionRow, ...]
    tables: tuple[TableRow, ...]
    processes: tuple[ProcessEvent, ...]
    peak_memory_bytes: int
    memory_bytes_by_role: Mapping[str, int]  # at the highest total that was seen
    machine: Mapping[str, Any]
    settings: Mapping[str, Any]
