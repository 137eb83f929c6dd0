"""Acting by a policy server, and what to do while it is away. No torch, no Ray.

robot = RobotPolicy(PolicyClient("policy:7003"), session="arm-7", hold=np.zeros(4), fallback=Fallback.FINISH)
robot.begin()
while not done:
    move = robot.move(lambda: Observation(images=cameras(), proprio=joints(), instruction="open the drawer"))
    execute(move.action)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from ramp.errors import Full, Timeout, Unavailable
from ramp.types import Observation
from services.common.inference import Answer

logger = logging.getLogger(__name__)

AWAY = (Unavailable, Timeout, Full)
"""What another try may mend. Everything else is a mistake, and raised."""


class Fallback(StrEnum):
    """What a robot does when the server does not answer in time."""

    HOLD = "hold"  # stand still at once
    FINISH = "finish"  # go on with the last good chunk to its end, then stand still


class Asked(Protocol):
    """What of a PolicyClient is needed here."""

    def infer(self, observation: Observation, *, session: str, start: bool, timeout: float) -> Answer: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """The next control step."""

    action: np.ndarray  # float32 [A], robot units
    version: int  # of the policy that decided it; 0 where the robot stands still for want of one
    chosen: bool  # by the policy, just for now; False while falling back


class RobotPolicy:
    """One robot's way to its next action. Not thread-safe: a robot has one control loop."""

    def __init__(
        self,
        policy: Asked,
        *,
        session: str,
        hold: np.ndarray,
        fallback: Fallback = Fallback.HOLD,
        execute: int = 0,
        timeout: float = 0.5,
    ) -> None:
        """`hold` float32 [A] keeps the robot where it is. `execute` steps of a chunk are done before the next is asked
        for, 0 for all of them; a server that does not answer within `timeout` s is away for this step."""
        self._policy, self._session, self._timeout = policy, session, timeout
        self._hold, self._fallback, self._execute = np.asarray(hold, np.float32), fallback, execute
        self._answer: Answer | None = None
        self._at = 0  # the step of the chunk that comes next
        self._starts = True

    def begin(self) -> None:
        """The next request begins an episode: what is left of a chunk belonged to the last one."""
        self._answer, self._at, self._starts = None, 0, True

    def move(self, look: Callable[[], Observation]) -> Move:
        """The next action; `look` is called where a decision is due. Raises Invalid, NotFound, Unauthenticated, Denied:
        what trying again would not mend."""
        fresh = True
        if self._due():
            fresh = self._ask(look())
        if self._answer is None or self._at >= len(self._answer.chunk) or not (fresh or self._finishes()):
            return Move(action=self._hold, version=0, chosen=False)
        self._at += 1
        return Move(action=self._answer.chunk[self._at - 1], version=self._answer.version, chosen=fresh)

    def _due(self) -> bool:
        if self._answer is None:
            return True
        return self._at >= (min(self._execute, len(self._answer.chunk)) or len(self._answer.chunk))

    def _finishes(self) -> bool:
        return self._fallback is Fallback.FINISH

    def _ask(self, observation: Observation) -> bool:
        """Whether there is a new chunk."""
        try:
            self._answer = self._policy.infer(
                observation, session=self._session, start=self._starts, timeout=self._timeout
            )
        except AWAY as error:
            logger.warning("%s falls back (%s): %s", self._session, self._fallback, error)
            return False
        self._at, self._starts = 0, False
        return True
