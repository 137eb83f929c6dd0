"""When a person takes over, and when they hand back: the rule of stage 3 (the paper leaves it open).

An operator could follow it with nothing but the predicted remaining time and a view of the arm:

    policy ──(no progress | value fell | arm stands still)──> person ──(`hold` steps later)──> policy

A pure state machine, without environment, clock or model, so that the rule can be tested and replayed from a log.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from ramp.recipes.recipe import TakeoverConfig


class Reason(StrEnum):
    """Why a person takes over."""

    FALL = "fall"  # the predicted remaining time rose far above its best
    NO_PROGRESS = "no_progress"  # it did not shrink enough over `patience` decisions
    STILL = "still"  # the arm hardly moved over `patience` decisions


class Takeover:
    """The person beside one robot during one episode.

    Ask `holds(step)` at every step; where it says False and the policy decides, tell `watch` what it predicted.
    """

    def __init__(self, config: TakeoverConfig) -> None:
        self.config = config
        self.count = 0
        self.reasons: list[Reason] = []
        self._hold_until = 0
        self._remaining: list[float] = []  # at the decisions since the policy last got control
        self._proprio: list[np.ndarray] = []

    def holds(self, step: int) -> bool:
        """Whether the person has control at `step`."""
        return step < self._hold_until

    def watch(self, step: int, remaining: float, proprio: np.ndarray) -> bool:
        """The policy decides at `step`: whether the person takes over instead, from this step on.

        `remaining` in [0, 1] of the task's limit; `proprio` float32 [P].
        """
        self._remaining.append(remaining)
        self._proprio.append(np.array(proprio, np.float32))
        reason = self._reason() if self.count < self.config.max_takeovers else None
        if reason is None:
            return False
        self.count += 1
        self.reasons.append(reason)
        self._hold_until = step + self.config.hold
        self._remaining.clear()
        self._proprio.clear()
        return True

    def _reason(self) -> Reason | None:
        now, patience = self._remaining[-1], self.config.patience
        if now > min(self._remaining) + self.config.fall:
            return Reason.FALL
        if len(self._remaining) <= patience:
            return None
        recent = np.stack(self._proprio[-1 - patience :])
        if np.abs(recent - recent[-1]).max() < self.config.stillness:
            return Reason.STILL
        if self._remaining[-1 - patience] - now < self.config.min_progress:
            return Reason.NO_PROGRESS
        return None
