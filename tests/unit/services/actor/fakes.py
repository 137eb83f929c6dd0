"""Stand-ins that check what they are handed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch

from ramp.envs import EnvConfig, make_env
from ramp.errors import Invalid, Timeout
from ramp.interfaces import Env
from ramp.types import Batch, EpisodeHeader, Observation, Outcome, SampleSpec, StepBatch
from services.actor.assignment import Assignment

CONFIG = EnvConfig(suite="counting", cameras=("top", "wrist"), image_size=16, frame_stride=4, max_steps=40)


def counting_env() -> Env:
    return make_env("count-up", CONFIG)


def assignment(purpose: str = "rollout", seed: int = 3) -> Assignment:
    tables = () if purpose == "eval" else ("online",)
    return Assignment(purpose=purpose, task="count-up", seed=seed, tables=tables)


@dataclass(frozen=True)
class FakeDecision:
    chunk: np.ndarray
    remaining: float


@dataclass(frozen=True)
class FakeThought:
    subgoal: str


@dataclass
class FakeAgent:
    """Pushes the needle up or stands still; remembers what it saw."""

    thrust: float = 0.0
    remaining: float = 0.5
    version: int = 5
    chunk: int = 8
    seen: list[Observation] = field(default_factory=list)

    def decide(self, observation: Observation, *, generator: torch.Generator) -> FakeDecision:
        assert set(observation.images) == set(CONFIG.cameras)
        self.seen.append(observation)
        noise = torch.rand((self.chunk,), generator=generator).numpy()
        actions = np.stack([np.full(self.chunk, self.thrust), noise], axis=1)
        return FakeDecision(actions.astype(np.float32), self.remaining)

    def think(self, observation: Observation) -> FakeThought:
        step = int(observation.proprio[0])
        if step == 8:
            raise Invalid("thought", b"\xff", "these tokens are no text")
        return FakeThought(f"count on from {step}")


@dataclass
class FakeWriter:
    header: EpisodeHeader
    batches: list[StepBatch] = field(default_factory=list)
    outcome: Outcome | None = None
    aborted: bool = False
    fail_at: int = -1
    away: bool = False

    def append(self, steps: StepBatch) -> None:
        assert self.outcome is None
        if len(self.batches) == self.fail_at:
            raise ConnectionError("replay is away")
        self.batches.append(steps)

    def end(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def abort(self) -> None:
        self.aborted = True

    def wait(self, timeout: float) -> None:
        assert self.outcome is not None
        if self.away:
            raise Timeout("replay is away")


@dataclass
class FakeReplay:
    fail_at: int = -1
    away: bool = False  # it takes everything and never acknowledges: a spool without a server
    writers: list[FakeWriter] = field(default_factory=list)

    def open(self, header: EpisodeHeader) -> FakeWriter:
        self.writers.append(FakeWriter(header, fail_at=self.fail_at, away=self.away))
        return self.writers[-1]

    def sample(self, spec: SampleSpec, *, timeout: float) -> Iterator[Batch]:
        raise AssertionError("an actor never samples")
