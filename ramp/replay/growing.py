"""Columns that grow at the end: amortised appends, views for readers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


class Growing:
    """An array [N, ...] with room to spare.

    A view taken earlier keeps its content: growth moves to a new array, and appending writes behind the view.
    """

    def __init__(self, dtype: npt.DTypeLike, shape: tuple[int, ...] = ()) -> None:
        self._data = np.empty((64, *shape), dtype=dtype)
        self._size = 0

    @classmethod
    def of(cls, rows: np.ndarray) -> Growing:
        """A column that begins with a copy of these rows [N, ...]."""
        column = cls(rows.dtype, rows.shape[1:])
        column.append(rows)
        return column

    def __len__(self) -> int:
        return self._size

    @property
    def view(self) -> np.ndarray:
        return self._data[: self._size]

    def append(self, rows: np.ndarray) -> None:
        begin, end = self._size, self._size + len(rows)
        if end > len(self._data):
            grown = np.empty((max(2 * len(self._data), end), *self._data.shape[1:]), dtype=self._data.dtype)
            grown[:begin] = self._data[:begin]
            self._data = grown
        self._data[begin:end] = rows
        self._size = end
