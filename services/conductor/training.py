"""The learner group as the conductor holds it: a thread that waits for Ray Train, started again when it fails."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from ramp.errors import Unavailable
from services.conductor.journal import Process
from services.learner.divergence import DivergedError

BUDGET = 3  # failures of the whole group within BUDGET_S; single workers are Ray Train's to restart
BUDGET_S = 600.0
NAME = "learner"


class LearnerGroup:
    """Runs `body` (which blocks until the learner is done or asked to stop) in a thread, over all its restarts."""

    def __init__(self, body: Callable[[], None]) -> None:
        self._body = body
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._failures: deque[float] = deque(maxlen=BUDGET + 1)
        self.restarts = 0
        self.returned = False  # the last run of the body ended without an error

    @property
    def state(self) -> str:
        """up, stopped or down, as the view calls it."""
        if self._thread is None or self.returned:
            return "stopped"
        return "up" if self._thread.is_alive() else "down"

    def start(self) -> Process:
        """Launch the group."""
        self._error, self.returned = None, False
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._thread.start()
        return Process(name=NAME, what="restarted" if self.restarts else "started")

    def poll(self) -> Iterator[Process]:
        """What has happened since the last call. Raises Unavailable where the group fails again and again, and
        DivergedError where it need not be tried again."""
        if self._thread is None or self._thread.is_alive() or self.returned:
            return
        if self._error is None:
            self.returned = True
            yield Process(name=NAME, what="stopped")
            return
        why = _in_short(self._error)
        now = time.monotonic()
        self._failures.append(now)
        yield Process(name=NAME, what="died", detail=why)
        if isinstance(self._error, DivergedError):
            raise self._error
        recent = sum(1 for failure in self._failures if now - failure < BUDGET_S)
        if recent > BUDGET:
            raise Unavailable(f"the learner failed {recent} times within {BUDGET_S:g} s, at last with: {why}")
        self.restarts += 1
        yield self.start()

    def join(self, deadline_s: float) -> bool:
        """Wait for the thread to end; whether it has. How it ends matters no more."""
        self.returned = True
        if self._thread is not None:
            self._thread.join(deadline_s)
        return self._thread is None or not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._body()
        except BaseException as error:  # handed to poll(), which reports it and starts again
            self._error = error


def _in_short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:300] if lines else 'no message'}"
