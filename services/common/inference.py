"""What a policy server answers, as its clients hold it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ramp.types import StepSchema


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A chunk of actions, who decided it, and what it took."""

    chunk: np.ndarray  # float32 [H, A], robot units, within the action bounds
    version: int  # of the policy
    remaining: float  # predicted remaining time in [0, 1]; nan in efficient mode
    queued_s: float  # waiting for a turn
    infer_s: float  # of the whole batch, in the model
    batch: int  # requests that were answered together


@dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """What a policy server serves now."""

    version: int  # that new episodes begin with; 0: none yet
    loaded: tuple[int, ...]  # all that may be asked for
    alias: str  # that it follows; "" where it has found none
    mode: str  # standard or efficient
    schema: StepSchema | None  # of observations and actions; None without a version
    horizon: int  # H
    waiting: int  # requests in the queue
