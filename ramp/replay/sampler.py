"""Drawing items by priority, with replacement, through a sum-tree. Every call is vectorised."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ramp.errors import Invalid
from ramp.replay.growing import Growing

MAX_PRIORITY = 1e30  # sums of many must stay finite: no item has a probability where the total is infinite


class SumTree:
    """Priorities of N items, drawn from in O(log N) array operations for a whole batch at a time.

    Level 0 holds the priorities, each level above it the sums of pairs of the level below, the highest two numbers.
    Levels grow at their ends, so that nothing is built anew however many items come. Sums are float64; a draw never
    returns an item of priority 0, whatever rounding did to the inner sums.

    Example: tree = SumTree(); tree.append(np.ones(10)); tree.draw(rng.random(4))
    """

    def __init__(self) -> None:
        self._levels = [Growing.of(np.zeros(2))]
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def total(self) -> float:
        return float(self._levels[-1].view.sum())

    @property
    def leaves(self) -> np.ndarray:
        """float64 [N], a view."""
        return self._levels[0].view[: self._size]

    def append(self, priorities: np.ndarray) -> None:
        """Add items behind the present ones. Raises Invalid."""
        values = np.asarray(priorities, dtype=np.float64)
        self.check(values)
        begin, self._size = self._size, self._size + len(values)
        level = 0
        while len(values):
            begin, values = self._put(level, begin, values)
            level += 1

    def _put(self, number: int, begin: int, values: np.ndarray) -> tuple[int, np.ndarray]:
        """Numbers of a level from `begin` on, all that it has behind there; what that makes of the level above: from
        where on, and the sums, none above the highest."""
        level, end = self._levels[number], begin + len(values)
        level.append(np.zeros(max(0, end + end % 2 - len(level))))  # pairs are whole
        nodes = level.view
        nodes[begin:end] = values
        if len(nodes) == 2:
            return 0, nodes[:0]
        if number + 1 == len(self._levels):
            self._levels.append(Growing(np.float64))
        first = min(begin // 2, len(self._levels[number + 1]))
        pairs = nodes[2 * first : end + end % 2].reshape(-1, 2)
        return first, pairs[:, 0] + pairs[:, 1]

    def update(self, items: np.ndarray, priorities: np.ndarray) -> None:
        """Set priorities of items (int [M]); of an item named twice, the last one counts. Raises Invalid."""
        values = np.asarray(priorities, dtype=np.float64)
        self.check(values)
        nodes = np.asarray(items, dtype=np.int64)
        self._levels[0].view[nodes] = values
        nodes = np.unique(nodes >> 1)
        for level, above in pairwise(self._levels):
            below = level.view
            above.view[nodes] = below[2 * nodes] + below[2 * nodes + 1]
            nodes = nodes >> 1
            nodes = nodes[np.diff(nodes, prepend=-1) > 0]  # they ascend

    @staticmethod
    def check(priorities: np.ndarray) -> None:
        """Raises Invalid unless all of them lie within 0 and MAX_PRIORITY."""
        wrong = ~((priorities >= 0) & (priorities <= MAX_PRIORITY))
        if wrong.any():
            raise Invalid("priority", priorities[wrong][0], f"send numbers from 0 to {MAX_PRIORITY:g}")

    def draw(self, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items (int64 [M]) for numbers in [0, 1), and the probability of each (float64 [M]).

        `total` must be above 0.
        """
        rest = np.asarray(uniform) * self.total
        nodes = np.zeros(len(rest), dtype=np.int64)
        for level in reversed(self._levels):
            sums, nodes = level.view, 2 * nodes
            left = sums[nodes]
            right = ((rest >= left) & (sums[nodes + 1] > 0)) | (left <= 0)
            rest = np.where(right, np.maximum(rest - left, 0.0), rest)
            nodes = nodes + right
        return nodes, self._levels[0].view[nodes] / self.total
