"""The bounded queue before the model. Whoever waits in it has a deadline, and is never computed after it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

import torch

from ramp.errors import OverQuota, Timeout, Unavailable
from ramp.models.agent import AgentDecision
from ramp.types import Observation
from services.common.inference import Answer

LEAST_RETRY_S = 0.02


class Deciding(Protocol):
    """What of an Agent serves several robots at once."""

    version: int

    def decide_many(self, observations: list[Observation], *, generator: torch.Generator) -> list[AgentDecision]: ...


@dataclass(eq=False, kw_only=True, slots=True)
class Ask:
    """One request. `answer` is cancelled by whoever does not want it any more."""

    agent: Deciding  # that is to decide: the one that its episode began with
    observation: Observation
    deadline: float  # on the monotonic clock
    came: float = field(default_factory=time.monotonic)
    answer: Future[Answer] = field(default_factory=Future)


class Waiting:
    """First come, first served, but for those who can be served along with the first. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most, self._asks = most, list[Ask]()
        self._changed = threading.Condition()
        self._closed = False
        self.pace_s = 0.0  # a request's share of the model's time, lately

    def __len__(self) -> int:
        return len(self._asks)

    def put(self, ask: Ask) -> None:
        """Raises OverQuota, with the time after which to come again, where the queue is full; Unavailable once it is
        closed."""
        with self._changed:
            if self._closed:
                raise Unavailable("the policy server is going; ask again")
            if len(self._asks) >= self._most:
                remedy = "ask less often, or raise serving.queue or the number of servers"
                wait_s = max(self._most * self.pace_s / 2, LEAST_RETRY_S)
                raise OverQuota("queue", f"{len(self._asks)} requests wait", remedy, wait_s)
            self._asks.append(ask)
            self._changed.notify_all()

    def take(self, most: int, wait_s: float) -> list[Ask] | None:
        """Requests for one agent, `most` of them; the first has then waited `wait_s` for company, unless that was
        complete before. None once the queue is closed and empty."""
        with self._changed:
            while True:
                self._drop()
                if not self._asks:
                    if self._closed:
                        return None
                    self._changed.wait()
                    continue
                together = [ask for ask in self._asks if ask.agent is self._asks[0].agent][:most]
                left = self._asks[0].came + wait_s - time.monotonic()
                if len(together) == most or left <= 0 or self._closed:
                    self._asks = [ask for ask in self._asks if ask not in together]
                    return together
                self._changed.wait(left)

    def _drop(self) -> None:
        """Forget whoever has gone, and tell those for whom it is too late."""
        now = time.monotonic()
        late = [ask for ask in self._asks if ask.deadline <= now]
        self._asks = [ask for ask in self._asks if ask.deadline > now and not ask.answer.cancelled()]
        for ask in late:
            if ask.answer.set_running_or_notify_cancel():
                ask.answer.set_exception(Timeout(f"its turn had not come after {now - ask.came:.2g} s"))

    def close(self) -> None:
        """Nobody comes in any more; who is in is served."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
