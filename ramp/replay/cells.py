"""Frames as variable binary columns: encoded pictures of any length, one behind the other.

F frames, C cameras.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa


def cell_column(cells: np.ndarray, present: np.ndarray | None = None) -> pa.BinaryArray:
    """Object [F] of bytes as binary values at the rows where `present` [T], null elsewhere; None: a row each."""
    rows = np.ones(len(cells), bool) if present is None else present
    sizes = np.zeros(len(rows), np.int32)
    sizes[rows] = [len(cell) for cell in cells]
    return binary_column(b"".join(cells), sizes, rows)


def binary_column(data: bytes | np.ndarray, sizes: np.ndarray, present: np.ndarray) -> pa.BinaryArray:
    """`data` cut into `sizes` [T] (0 where not `present`), null where not present."""
    offsets = np.zeros(len(sizes) + 1, dtype=np.int32)
    np.cumsum(sizes, out=offsets[1:])
    validity = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.BinaryArray.from_buffers(pa.binary(), len(sizes), [validity, pa.py_buffer(offsets), pa.py_buffer(data)])


def cells_of(column: pa.BinaryArray) -> np.ndarray:
    """Object [F] of memoryviews: the values that are not null, which nobody reads here."""
    offsets, present = binary_offsets(column), present_rows(column)
    data = memoryview(column.buffers()[2] or b"").cast("B")
    found = np.empty(int(present.sum()), object)
    for n, row in enumerate(np.flatnonzero(present).tolist()):
        found[n] = data[offsets[row] : offsets[row + 1]]
    return found


def cell_places(columns: Sequence[pa.BinaryArray], base: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the values that are not null, which are the same rows in all columns: bytes from the address `base` to their
    first one, int64 [F, C], and their lengths, int32 [F, C]."""
    begins, sizes = [], []
    for column in columns:
        offsets, present, data = binary_offsets(column), present_rows(column), column.buffers()[2]
        address = data.address - base if data is not None else 0
        begins.append(address + offsets[:-1][present].astype(np.int64))
        sizes.append(np.diff(offsets)[present])
    return np.stack(begins, axis=1), np.stack(sizes, axis=1)


def present_rows(column: pa.Array) -> np.ndarray:
    """bool [T]: which rows are not null. Read from the bits: Arrow's own function costs 40 us a call."""
    validity, count = column.buffers()[0], column.offset + len(column)
    if validity is None:
        return np.ones(len(column), dtype=bool)
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), count=count, bitorder="little")
    return bits[column.offset :].astype(bool)


def binary_offsets(column: pa.BinaryArray) -> np.ndarray:
    """int32 [T + 1]: where each row's bytes begin in the data buffer, and where the last row's end."""
    count, buffer = column.offset + len(column) + 1, column.buffers()[1]
    if buffer is None or buffer.size < 4 * count:
        return np.zeros(1, dtype=np.int32)  # Arrow lets a column without rows go without offsets
    return np.frombuffer(buffer, dtype=np.int32, count=count)[column.offset :]
