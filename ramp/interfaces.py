"""The doors: what each part of the loop promises, whoever implements it.

Near and far look the same: `Replay` is a `ramp.replay.local.LocalReplay` in this process or a gRPC client; `Registry`
is a directory or a bucket; a dream of the world model is an `Env`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ramp.types import Batch, EnvStep, EpisodeHeader, Kind, Observation, Outcome, SampleSpec, StepBatch, StepSchema

if TYPE_CHECKING:  # torch takes seconds to import, which the replay server and `ramp status` need not wait for
    import torch
    from torch import Tensor


class Env(Protocol):
    """One task on one robot: a simulator, a real arm, or a world model's imagination."""

    task: str
    instruction: str
    max_steps: int  # T_max: after this many steps `truncated` is True
    control_hz: float
    schema: StepSchema

    def reset(self, seed: int) -> EnvStep:
        """Begin the episode that `seed` alone determines."""

    def step(self, action: np.ndarray) -> EnvStep:
        """Execute float32 [A]. Raises ValueError for a wrong shape, a non-finite or an out-of-bounds action."""

    def render(self) -> Mapping[str, np.ndarray]:
        """Camera frames of the present state; costs milliseconds, so call it only where a frame is needed."""

    def close(self) -> None: ...


class Expert(Protocol):
    """Whoever corrects the robot by hand; in simulation the scripted policy, the only one to see object state."""

    def act(self) -> np.ndarray:
        """float32 [A] for the present state of the environment it watches."""


class Actor(Protocol):
    """Whatever decides on a robot: policy with its world model, in robot units on both sides."""

    version: int

    def decide(self, observation: Observation, *, generator: torch.Generator) -> Decision:
        """An action chunk for the present observation, with what the world model thinks of it."""

    def think(self, observation: Observation) -> Thought:
        """What it would say of the observation. Raises Invalid where it cannot think, or says nothing readable."""


class Decision(Protocol):
    @property
    def chunk(self) -> np.ndarray:
        """float32 [H, A]"""

    @property
    def remaining(self) -> float:
        """Predicted remaining time in [0, 1] of the task's limit."""


class Thought(Protocol):
    @property
    def subgoal(self) -> str:
        """What it is about to do, in words."""


class Algorithm(Protocol):
    """One idea from one paper: a batch becomes a loss. Stateless; the weights live in `model`."""

    def loss(
        self, model: torch.nn.Module, batch: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Scalar loss and what to report of it."""


class Writer(Protocol):
    """One open episode."""

    def append(self, steps: StepBatch) -> None:
        """Hand over the next steps; returns when they are durable (or safely spooled). Raises Invalid."""

    def end(self, outcome: Outcome) -> None:
        """Make the episode visible to samplers; returns when that is durable."""

    def abort(self) -> None:
        """Withdraw the episode: nothing of it will be sampled."""

    def wait(self, timeout: float) -> None:
        """Until all that was handed over is durable at its destination. Raises Timeout, and what was refused there."""


class Replay(Protocol):
    """Where experience lives."""

    def open(self, header: EpisodeHeader) -> Writer: ...

    def sample(self, spec: SampleSpec, *, timeout: float) -> Iterator[Batch]:
        """An endless stream of batches. Waits while the table's rate limiter says so; Timeout after `timeout` s."""


class Registry(Protocol):
    """Immutable versions of weights, each with a manifest; aliases that point to them."""

    def publish(
        self,
        kind: Kind,
        tensors: Mapping[str, Tensor],
        manifest: Mapping[str, Any],
        files: Mapping[str, bytes] | None = None,
    ) -> int:
        """Write, checksum, rename, announce; returns the new version. Readers see all of it or nothing. `files` lie
        beside the weights."""

    def load(self, kind: Kind, version: int | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Weights and manifest of a version or alias. Raises NotFound, or Corrupt where a checksum disagrees."""

    def manifest(self, kind: Kind, version: int | str) -> dict[str, Any]:
        """The manifest alone. Raises NotFound, Corrupt."""

    def file(self, kind: Kind, version: int | str, name: str) -> bytes | None:
        """What was published beside the weights under that name, or None. Raises NotFound, Corrupt."""

    def alias(self, kind: Kind, name: str, version: int) -> None:
        """Point `name` (latest, stage2, final ...) at a version, atomically."""

    def resolve(self, kind: Kind, name: str) -> int | None:
        """The version an alias points to, or None."""

    def versions(self, kind: Kind) -> Sequence[int]: ...
