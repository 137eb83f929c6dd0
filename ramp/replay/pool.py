"""Items that can be drawn, in the order of arrival, some of which leave."""

from __future__ import annotations

import numpy as np

from ramp.replay.growing import Growing

SLACK = 64  # items that left and may lie among the others, beside as many as there are others


class Pool:
    """Ascending item numbers. What has left lies among the others until there is as much of it as of them, so that
    leaving costs as much as came, however many stay. `present` (bool [M]) tells which items of all have not left.
    """

    def __init__(self) -> None:
        self._items = Growing(np.int64)
        self._begin = 0  # before it, all have left
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def append(self, items: np.ndarray) -> None:
        self._items.append(items)
        self._count += len(items)

    def leave(self, count: int, present: np.ndarray) -> None:
        """So many have left since the last time."""
        self._count -= count
        lying = self._lying()
        if len(lying) > 2 * self._count + SLACK:
            self._items, self._begin = Growing.of(lying[present[lying]]), 0

    def renumber(self, numbers: np.ndarray) -> None:
        """Item i is `numbers[i]` from now on; -1: it is forgotten, and has left."""
        moved = numbers[self._lying()]
        self._items, self._begin = Growing.of(moved[moved >= 0]), 0

    def _lying(self) -> np.ndarray:
        return self._items.view[self._begin :]

    def any(self, count: int, present: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Each as likely as the others, with replacement; there must be one."""
        lying = self._lying()
        found = lying[generator.integers(0, len(lying), count)]
        while len(again := np.flatnonzero(~present[found])):
            found[again] = lying[generator.integers(0, len(lying), len(again))]
        return found

    def first(self, count: int, present: np.ndarray) -> np.ndarray:
        """The oldest ones, as many as there are."""
        found = _front(self._lying(), count, present)
        if len(found):
            self._begin += int(np.searchsorted(self._lying(), found[0]))
        return found

    def last(self, count: int, present: np.ndarray) -> np.ndarray:
        """The newest ones, newest first."""
        found = _front(self._lying()[::-1], count, present)
        if len(found):
            self._items.shorten(self._begin + int(np.searchsorted(self._lying(), found[0])) + 1)
        return found


def _front(items: np.ndarray, count: int, present: np.ndarray) -> np.ndarray:
    """The first `count` of those that are present; only as many are looked at as that takes."""
    end = max(count, 1)
    while True:
        found = items[:end][present[items[:end]]]
        if len(found) >= count or end >= len(items):
            return found[:count]
        end *= 2
