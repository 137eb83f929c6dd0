"""Frames of sampled batches as Arrow columns, in two forms.

    binary_view           the bytes; written without a copy from where they lie, each frame a buffer of its own
    3 int64 a frame       the place: which of the segments in the field's metadata `ramp.segments` (JSON), the offset of
                          the first byte, and how many; for who has the same files

K frames a row are a fixed-size list, or 3K numbers. B, K as in ramp.types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ramp.errors import Invalid
from ramp.replay.frames import Pixels, Places, cells, copied, views

SEGMENTS = b"ramp.segments"
INLINE = 12  # bytes that Arrow keeps inside the view itself
PLACE = 3  # numbers of a place
CELLS = 2  # dimensions at most where each frame is an object: [B] or [B, K]


# ------------------------------------------------------------------------------------------------ making


def byte_kind(horizons: int) -> pa.DataType:
    """Of a column of bytes, with `horizons` frames a row; 0: one, and no list."""
    item = pa.binary_view()
    return pa.list_(pa.field("item", item, nullable=False), horizons) if horizons else item


def place_kind(horizons: int) -> pa.DataType:
    """Of a column of places, likewise."""
    return pa.list_(pa.field("item", pa.int64(), nullable=False), PLACE * max(horizons, 1))


def byte_column(name: str, places: Places, sources: Mapping[str, Any]) -> tuple[pa.Field, pa.Array]:
    """The frames themselves. `sources` as for `frames.views`. Raises Corrupt."""
    array = _view_array(views(places, sources))
    if places.offset.ndim > 1:
        array = pa.FixedSizeListArray.from_arrays(array, type=byte_kind(places.offset.shape[1]))
    return pa.field(name, array.type, nullable=False), array


def _view_array(frames: Sequence[memoryview]) -> pa.Array:
    if any(len(frame) <= INLINE for frame in frames):
        return pa.array([bytes(frame) for frame in frames], pa.binary_view())
    heads = np.zeros((len(frames), 4), np.int32)  # length, first four bytes, buffer, offset in it
    heads[:, 0] = [len(frame) for frame in frames]
    heads[:, 1] = np.frombuffer(b"".join(frame[:4] for frame in frames), np.int32)
    heads[:, 2] = np.arange(len(frames))
    buffers = [None, pa.py_buffer(heads), *map(pa.py_buffer, frames)]
    return pa.Array.from_buffers(pa.binary_view(), len(frames), buffers)


def place_column(name: str, places: Places) -> tuple[pa.Field, pa.Array]:
    """Where the frames lie."""
    numbers = np.stack([places.segment, places.offset, places.length], axis=-1).astype(np.int64)
    kind = place_kind(places.offset.shape[1] if places.offset.ndim > 1 else 0)
    array = pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), type=kind)
    return pa.field(name, kind, nullable=False, metadata={SEGMENTS: json.dumps(list(places.names))}), array


# ----------------------------------------------------------------------------------------------- reading


def column_frames(record: pa.RecordBatch, name: str, shape: tuple[int, ...], pixels: Pixels | None) -> np.ndarray:
    """uint8 `shape`: [B, height, width, channels] or [B, K, height, width, channels], of either form. Or object, [B] or
    [B, K], of the bytes of encoded frames.

    Read-only views of the record's memory wherever that is possible; copies from `pixels` where the record has places.
    Raises Invalid, and Corrupt where a segment does not have the bytes.
    """
    field, column, encoded = record.schema.field(name), record.column(name), len(shape) <= CELLS
    if SEGMENTS not in (field.metadata or {}):
        return _cells(column, shape) if encoded else _bytes(column, shape)
    if pixels is None:
        raise Invalid(name, "places of frames", "send the frames to who has no segments")
    places = _places(column, json.loads(field.metadata[SEGMENTS]), shape if encoded else shape[:-3])
    if encoded:
        return cells(places, {each: pixels(each) for each in places.names})
    if (places.length != int(np.prod(shape[-3:]))).any():
        raise Invalid(name, "places of other lengths", f"send {int(np.prod(shape[-3:]))} bytes a frame")
    return copied(places, (shape[-3], shape[-2], shape[-1]), {each: pixels(each) for each in places.names})


def _places(column: pa.Array, names: list[str], shape: tuple[int, ...]) -> Places:
    segment, offset, length = np.moveaxis(column.flatten().to_numpy().reshape(*shape, PLACE), -1, 0)
    if (segment.size and not 0 <= segment.min() <= segment.max() < len(names)) or (offset.size and offset.min() < 0):
        raise Invalid("places", "outside of their segments", "name a segment that the column names")
    return Places(names, segment, offset, length)


def _cells(column: pa.Array, shape: tuple[int, ...]) -> np.ndarray:
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    if len(flat) != int(np.prod(shape)):
        raise Invalid("images", f"{len(flat)} frames", f"send {int(np.prod(shape))}")
    found = np.empty(len(flat), object)
    found[:] = flat.to_pylist()
    return found.reshape(shape)


def _bytes(column: pa.Array, shape: tuple[int, ...]) -> np.ndarray:
    flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    count, size = len(flat), int(np.prod(shape[-3:]))
    if count != int(np.prod(shape[:-3])):
        raise Invalid("images", f"{count} frames", f"send {int(np.prod(shape[:-3]))}")
    stride = _stride(flat, size)
    if stride is None:
        frames = flat.to_pylist()
        if any(len(frame) != size for frame in frames):
            raise Invalid("images", "frames of other lengths", f"send {size} bytes a frame")
        return np.frombuffer(b"".join(frames), np.uint8).reshape(shape)
    begin = flat.buffers()[2].address
    whole = np.frombuffer(pa.foreign_buffer(begin, stride * (count - 1) + size, base=flat), np.uint8)
    rows = np.lib.stride_tricks.as_strided(whole, (count, size), (stride, 1), writeable=False)
    return rows.reshape(shape)


def _stride(flat: pa.Array, size: int) -> int | None:
    """Bytes from one frame to the next where they lie evenly one behind the other, as our server sends them."""
    heads = np.frombuffer(flat.buffers()[1], np.int32).reshape(-1, 4)[flat.offset : flat.offset + len(flat)]
    buffers = flat.buffers()[2:]
    expected = np.array([[size, number, 0] for number in range(len(flat))])
    if size <= INLINE or len(buffers) != len(flat) or not np.array_equal(heads[:, [0, 2, 3]], expected):
        return None
    gaps = np.unique(np.diff([buffer.address for buffer in buffers]))
    if len(gaps) > 1 or any(buffer.size != size for buffer in buffers) or (len(gaps) and gaps[0] < size):
        return None
    return int(gaps[0]) if len(gaps) else size
