"""What a person sees of a running run: one immutable value, drawn by the terminal, printed by `ramp status`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter


@dataclass(frozen=True, kw_only=True)
class Score:
    """Successes out of trials, with the bounds of the 95 % Wilson interval."""

    successes: int
    trials: int
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class TaskView:
    """One task."""

    task: str
    demos: int  # episodes in replay
    demos_wanted: int
    rollouts: int  # episodes so far
    recent: Score | None  # of the last rollouts (takeovers count as they ended)
    human_share: float  # of the steps of the last rollouts, in [0, 1]
    stage2: Score | None  # evaluation before the joint stage, also while it runs
    interim: Score | None  # latest in between
    final: Score | None  # evaluation of the last version, also while it runs
    policy_age: float  # mean of the last rollouts, in versions behind the newest when they were handed in


@dataclass(frozen=True, kw_only=True)
class TableView:
    """One replay table."""

    name: str
    episodes: int
    items: int
    inserted: int
    sampled: int
    labelled: float  # share of items, in [0, 1]
    lead: float  # of the rate limiter, in samples


@dataclass(frozen=True, kw_only=True)
class ShardView:
    """One of several replay shards; the counts are 0 while it does not answer."""

    name: str
    up: bool
    episodes: int  # in all its tables
    items: int
    disk_bytes: int
    annotation_version: int  # world model of its labels


@dataclass(frozen=True, kw_only=True)
class ActorView:
    """One rollout actor."""

    name: str
    doing: str  # "demo drawer-open-v3", "eval ...", "idle", "starting"
    episodes: int
    steps_per_s: float
    restarts: int


@dataclass(frozen=True, kw_only=True)
class LearnerView:
    """The learner group."""

    stage: str
    update: int
    total: int
    updates_per_s: float
    wait_share: float  # of its time, waiting for data, in [0, 1]
    losses: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ProcessView:
    """One supervised process or group."""

    name: str
    state: str  # up, starting, down, stopped
    pid: int
    restarts: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class RunView:
    """The whole run at one moment."""

    recipe: str
    run_dir: str
    stage: str  # one of journal.STAGES
    activity: str  # what is dispatched now: "demonstrations", "evaluation stage2", "rollouts" ...
    seconds: float  # since this conductor started
    left_s: float | None  # estimate until the end of the run; None while unknown
    progress: float  # of the present stage, in [0, 1]
    policy_version: int  # newest in the registry; 0: none yet
    world_version: int
    annotation_version: int  # world model of the current labels
    tasks: tuple[TaskView, ...]
    tables: tuple[TableView, ...]
    actors: tuple[ActorView, ...]
    actor_steps_per_s: float  # environment steps of all actors, over the last half minute
    learner: LearnerView | None
    waits: tuple[str, ...]  # what waits for what, in words: "actors wait for the learner to train stage 2"
    processes: tuple[ProcessView, ...]
    memory_bytes: int
    peak_bytes: int
    redis_up: bool
    replay_up: bool
    shards: tuple[ShardView, ...] = ()  # empty where there is one server
    messages: tuple[str, ...] = field(default=())  # last things worth saying, oldest first


def view_from(plain: Mapping[str, Any]) -> RunView:
    """The view that was written as JSON, where null stands for a loss that was not a number."""
    learner = plain.get("learner")
    if learner:
        losses = {name: math.nan if loss is None else loss for name, loss in learner["losses"].items()}
        plain = {**plain, "learner": {**learner, "losses": losses}}
    return TypeAdapter(RunView).validate_python(plain)
