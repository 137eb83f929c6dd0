"""Drawing items by priority, with replacement, through a sum-tree. Every call is vectorised."""

from __future__ import annotations

import numpy as np

from ramp.errors import Invalid

MAX_PRIORITY = 1e30  # sums of many must stay finite: no item has a probability where the total is infinite


class SumTree:
    """Priorities of N items, drawn from in O(log N) array operations for a whole batch at a time.

    Node i has the children 2i and 2i + 1; leaves begin at `_capacity`. Sums are float64; a draw never returns an item
    of priority 0, whatever rounding did to the inner sums.

    Example: tree = SumTree(); tree.append(np.ones(10)); tree.draw(rng.random(4))
    """

    def __init__(self) -> None:
        self._capacity = 1
        self._nodes = np.zeros(2)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def total(self) -> float:
        return float(self._nodes[1])

    @property
    def leaves(self) -> np.ndarray:
        """float64 [N], a view."""
        return self._nodes[self._capacity : self._capacity + self._size]

    def append(self, priorities: np.ndarray) -> None:
        """Add items behind the present ones."""
        begin, self._size = self._size, self._size + len(priorities)
        if self._size > self._capacity:
            self._grow()
        self.update(np.arange(begin, self._size), priorities)

    def _grow(self) -> None:
        old = self._nodes[self._capacity :]
        capacity = 1 << max(self._size - 1, 1).bit_length()
        nodes = np.zeros(2 * capacity)
        nodes[capacity : capacity + len(old)] = old
        width = capacity
        while width > 1:
            nodes[width // 2 : width] = nodes[width : 2 * width].reshape(-1, 2).sum(axis=1)
            width //= 2
        self._capacity, self._nodes = capacity, nodes

    def update(self, items: np.ndarray, priorities: np.ndarray) -> None:
        """Set priorities of items (int [M]); of an item named twice, the last one counts. Raises Invalid."""
        values = np.asarray(priorities, dtype=np.float64)
        self.check(values)
        nodes = np.asarray(items, dtype=np.int64) + self._capacity
        self._nodes[nodes] = values
        while len(nodes) and nodes[0] > 1:
            nodes = np.unique(nodes >> 1)
            self._nodes[nodes] = self._nodes[2 * nodes] + self._nodes[2 * nodes + 1]

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
        nodes = np.ones(len(rest), dtype=np.int64)
        while nodes[0] < self._capacity:
            left = self._nodes[2 * nodes]
            right = ((rest >= left) & (self._nodes[2 * nodes + 1] > 0)) | (left <= 0)
            rest = np.where(right, np.maximum(rest - left, 0.0), rest)
            nodes = 2 * nodes + right
        return nodes - self._capacity, self._nodes[nodes] / self.total
