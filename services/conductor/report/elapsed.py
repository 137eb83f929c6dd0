"""The clock of a run that may have been down in between."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from services.conductor.journal import Event, RunStarted


@dataclass(frozen=True)
class Elapsed:
    """Seconds in which some conductor was alive, by wall-clock time.

    Example: Elapsed.of(events).at(event.t)
    """

    starts: tuple[float, ...]  # unix seconds at which conductors began
    ends: tuple[float, ...]  # their last signs of life

    @classmethod
    def of(cls, events: Sequence[Event]) -> Elapsed:
        starts: list[float] = []
        ends: list[float] = []
        for event in events:
            if isinstance(event, RunStarted) or not starts:
                starts.append(event.t)
                ends.append(event.t)
            ends[-1] = max(ends[-1], event.t)
        return cls(tuple(starts), tuple(ends))

    def at(self, t: float) -> float:
        index = bisect_right(self.starts, t) - 1
        if index < 0:
            return 0.0
        before = sum(end - start for start, end in zip(self.starts[:index], self.ends[:index], strict=True))
        return before + min(t, self.ends[index]) - self.starts[index]

    @property
    def total(self) -> float:
        return sum(end - start for start, end in zip(self.starts, self.ends, strict=True))
