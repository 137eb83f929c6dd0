"""Which robots a shard has heard of, how long ago, and by which policy they acted.

Prometheus is told the number of all, and the names of NAMED at most: those that have been silent longest, and those
whose policy is oldest. A fleet of a thousand costs no more than one of a hundred, and whoever falls behind has a name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.common import metrics
from services.common.periodic import Periodic

NAMED = 32
FORGOTTEN_S = 86_400.0  # a robot that says nothing for so long has gone
MOST = 100_000  # robots remembered; beyond it the one heard of longest ago is forgotten


@dataclass(frozen=True, slots=True)
class _Word:
    """The last one of a robot."""

    at: float  # seconds since 1970
    policy_version: int


class Robots:
    """Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._words: dict[str, _Word] = {}  # in the order of their words

    def heard(self, robot: str, policy_version: int) -> None:
        """It has appended steps, the last of them by this policy; 0: by none."""
        with self._lock:
            self._words.pop(robot, None)
            self._words[robot] = _Word(self._clock(), policy_version)
            if len(self._words) > MOST:
                self._words.pop(next(iter(self._words)))

    def tell(self) -> None:
        """Set the gauges."""
        with self._lock:
            since = self._clock() - FORGOTTEN_S
            self._words = {robot: word for robot, word in self._words.items() if word.at > since}
            words = dict(self._words)
        metrics.REPLAY_ROBOTS.set(len(words))
        metrics.set_only(metrics.REPLAY_ROBOT_HEARD, _least({robot: word.at for robot, word in words.items()}))
        acting = {robot: float(word.policy_version) for robot, word in words.items() if word.policy_version}
        metrics.set_only(metrics.REPLAY_ROBOT_POLICY, _least(acting))


class RollCall(Periodic):
    """Tells Prometheus of the robots."""

    def __init__(self, robots: Robots, period_s: float = 1.0) -> None:
        super().__init__("roll-call", period_s)
        self._robots = robots

    def turn(self) -> bool:
        self._robots.tell()
        return True


def _least(values: dict[str, float]) -> dict[str, float]:
    return dict(sorted(values.items(), key=lambda item: item[1])[:NAMED])
