"""Columns that grow at the end: views for readers, and no pause while a large one is copied to a larger place."""

from __future__ import annotations

import math
import mmap

import numpy as np
import numpy.typing as npt

LARGE = 2**20  # bytes, from which on a column gets address space for all that may ever come
RESERVED = 2**36  # bytes of address space; memory is taken for the rows that there are
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)


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

    def shorten(self, size: int) -> None:
        """Forget the rows behind. What is appended later overwrites them in views that are held still."""
        self._size = min(size, self._size)

    def append(self, rows: np.ndarray) -> None:
        begin, end = self._size, self._size + len(rows)
        if end > len(self._data):
            grown = _room(self._data.dtype, self._data.shape[1:], end)
            grown[:begin] = self._data[:begin]
            self._data = grown
        self._data[begin:end] = rows
        self._size = end


def _room(dtype: np.dtype, shape: tuple[int, ...], rows: int) -> np.ndarray:
    """For so many rows and as many again; for a large column for all that may come, where the system gives that."""
    row_bytes = dtype.itemsize * math.prod(shape)
    if LARGE <= rows * row_bytes <= RESERVED // 2:
        try:
            place = mmap.mmap(-1, RESERVED, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE)
        except OSError:  # a bound on address space
            return np.empty((2 * rows, *shape), dtype)
        return np.ndarray((RESERVED // row_bytes, *shape), dtype, buffer=place)
    return np.empty((2 * rows, *shape), dtype)
