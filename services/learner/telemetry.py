"""What a learner worker tells: presence and curves on the notice board, counters for Prometheus.

Entries of the stream "learner" have the fields stage, update, total, updates_per_s, wait_share, policy_version and
world_version. `spent_s.<what>` are seconds since the entry before; every other field is a curve by its own name, the
mean since then.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from services.common import metrics
from services.common.coordination import Coordination, Value
from services.learner.progress import Progress

STREAM = "learner"
ROLE = "learner"
EVERY_S = 1.0  # between entries
STOP_EVERY_S = 0.5  # between looks at the stop request


class Telemetry:
    """One worker's voice. Worker 0 alone writes the stream; every worker announces itself."""

    def __init__(self, board: Coordination, rank: int, *, place: Mapping[str, Value] | None = None) -> None:
        """`place` tells its node of Ray, and host and metrics_port of its metrics."""
        self._board, self._rank, self._where = board, rank, place or {}
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)
        self._updates, self._began = 0, time.monotonic()
        self._spent: dict[str, float] = defaultdict(float)
        self._inside: list[float] = []  # of each body that is being counted, what bodies in it took
        self._stop, self._stop_due = False, 0.0
        self._total = 0
        self.means: dict[str, float] = {}  # of the last entry that had curves

    def announce(self, progress: Progress, total: int) -> None:
        """Presence with the process id; written at every stage and kept alive by the notice board's heartbeat."""
        self._total = total
        fields = {"pid": os.getpid(), "rank": self._rank, **self._where, **_place(progress, total)}
        self._board.announce(ROLE, f"learner-{self._rank}", fields)

    def updated(self, model: str, report: Mapping[str, float], progress: Progress) -> None:
        """An update of one model was applied, with what its algorithm reports."""
        metrics.LEARNER_UPDATES.labels(model).inc()
        metrics.progress("learner", progress.stage)
        self._updates += 1
        for name, value in report.items():
            self.observe(f"{model}.{name}", value)

    def observe(self, curve: str, value: float) -> None:
        """A value of a curve."""
        self._sums[curve] += value
        self._counts[curve] += 1

    @contextmanager
    def spent(self, what: str) -> Iterator[None]:
        """Counts the body's time, but for what is counted inside it under another name; "wait" is the time in which the
        learner had no data, "sync" that in which gradients are exchanged."""
        began = time.monotonic()
        self._inside.append(0.0)
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            own = max(0.0, seconds - self._inside.pop())
            if self._inside:
                self._inside[-1] += seconds
            metrics.LEARNER_SECONDS.labels(what).inc(own)
            self._spent[what] += own

    def tell(self, progress: Progress, *, now: bool = False) -> None:
        """Write an entry if one is due, or at once."""
        if not now and time.monotonic() - self._began < EVERY_S:
            return
        seconds = max(1e-6, time.monotonic() - self._began)
        curves = {name: self._sums[name] / self._counts[name] for name in self._sums}
        self.means |= curves
        for name, value in curves.items():
            metrics.LEARNER_LOSS.labels(name).set(value)
        if self._rank == 0:
            share = {"updates_per_s": self._updates / seconds, "wait_share": min(1.0, self._spent["wait"] / seconds)}
            spent = {f"spent_s.{what}": value for what, value in self._spent.items()}
            self._board.emit(STREAM, {**_place(progress, self._total), **share, **spent, **curves})
            self.announce(progress, self._total)
        self._sums.clear()
        self._counts.clear()
        self._spent.clear()
        self._updates, self._began = 0, time.monotonic()

    def stop_requested(self) -> bool:
        """Whether the run shall stop; asks the board now and then, and remembers a yes."""
        if not self._stop and time.monotonic() >= self._stop_due:
            self._stop = self._board.stop_requested()
            self._stop_due = time.monotonic() + STOP_EVERY_S
        return self._stop


def _place(progress: Progress, total: int) -> dict[str, str | int]:
    return {
        "stage": progress.stage,
        "update": progress.update,
        "total": total,
        "policy_version": progress.policy_version,
        "world_version": progress.world_version,
    }
