"""Sampled batches as Arrow columns: the form in which they cross the wire.

Columns are named as the fields of ramp.types.Batch; images are fixed-size binaries of raw bytes, `images.<camera>`
[height * width * channels] and `future_images.<camera>` [K * height * width * channels]; of a camera whose frames are
encoded, binaries of any length and lists of K of them. The schema's metadata `ramp.shape` says in JSON what the sizes
mean (an encoded camera has none: its pictures say it), and whether there are the columns subgoal, track, track_valid.
B, H, K, P, A as in ramp.types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ramp.data.track import POINTS
from ramp.errors import Invalid
from ramp.replay.cells import cell_column, cells_of
from ramp.replay.columns import vector_rows
from ramp.types import Batch

TEXTS = ("episode_id", "task", "instruction")
SCALARS: Mapping[str, pa.DataType] = {
    "step": pa.int32(),
    "length": pa.int32(),
    "max_steps": pa.int32(),
    "success": pa.bool_(),
    "probability": pa.float64(),
    "policy_version": pa.int32(),
    "source": pa.uint8(),
    "value": pa.float32(),
    "advantage": pa.float32(),
    "indicator": pa.int8(),
    "annotation_version": pa.int32(),
}
SHAPE = b"ramp.shape"


def batch_to_arrow(batch: Batch) -> pa.RecordBatch:
    """Numbers and pixels are not copied, but for bit-packed booleans."""
    _, chunk, width = batch.action.shape
    horizons = batch.future_valid.shape[1]
    columns: dict[str, pa.Array] = {name: pa.array(list(getattr(batch, name)), pa.string()) for name in TEXTS}
    columns |= {name: pa.array(getattr(batch, name), kind) for name, kind in SCALARS.items()}
    columns["proprio"] = _rows(batch.proprio, pa.float32(), batch.proprio.shape[1])
    columns["action"] = _rows(batch.action, pa.float32(), chunk * width)
    columns["chunk_valid"] = _rows(batch.chunk_valid, pa.bool_(), chunk)
    if horizons:
        columns["future_proprio"] = _rows(batch.future_proprio, pa.float32(), horizons * batch.proprio.shape[1])
        columns["future_valid"] = _rows(batch.future_valid, pa.bool_(), horizons)
    if batch.subgoal is not None and batch.track is not None and batch.track_valid is not None:
        columns["subgoal"] = pa.array(list(batch.subgoal), pa.string())
        columns["track"] = _rows(batch.track, pa.float32(), 2 * POINTS)
        columns["track_valid"] = _rows(batch.track_valid, pa.bool_(), POINTS)
    for camera in sorted(batch.images):
        columns[f"images.{camera}"] = _pixels(batch.images[camera])
        if horizons:
            columns[f"future_images.{camera}"] = _pixels(batch.future_images[camera])
    shape = {
        "chunk": chunk,
        "horizons": horizons,
        "action": width,
        "proprio": batch.proprio.shape[1],
        "thoughts": batch.subgoal is not None,
        "cameras": {camera: frames.shape[1:] for camera, frames in sorted(batch.images.items())},
    }
    fields = [pa.field(name, column.type, nullable=False) for name, column in columns.items()]
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=pa.schema(fields, {SHAPE: json.dumps(shape)}))


def _rows(array: np.ndarray, kind: pa.DataType, width: int) -> pa.FixedSizeListArray:
    values = pa.array(np.ascontiguousarray(array).reshape(-1), kind)
    return pa.FixedSizeListArray.from_arrays(values, type=pa.list_(pa.field("item", kind, nullable=False), width))


def _pixels(frames: np.ndarray) -> pa.Array:
    if frames.dtype == object:
        return _cells(frames)
    size = int(np.prod(frames.shape[1:]))
    data = pa.py_buffer(np.ascontiguousarray(frames).reshape(-1))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(size), len(frames), [None, data])


def _cells(cells: np.ndarray) -> pa.Array:
    """Of [B], or lists of [B, K]."""
    column = cell_column(cells.reshape(-1))
    if cells.ndim == 1:
        return column
    kind = pa.list_(pa.field("item", pa.binary(), nullable=False), cells.shape[1])
    return pa.FixedSizeListArray.from_arrays(column, type=kind)


def batch_from_arrow(record: pa.RecordBatch) -> Batch:
    """The inverse; arrays are read-only views of the record's memory. Raises Invalid for anything else."""
    try:
        shape = json.loads((record.schema.metadata or {})[SHAPE])
        return _decode(record, shape)
    except (KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise Invalid("arrow", str(error)[:200], "send what batch_to_arrow makes") from error


def _decode(record: pa.RecordBatch, shape: Mapping[str, Any]) -> Batch:
    count, chunk, horizons = record.num_rows, int(shape["chunk"]), int(shape["horizons"])
    action, proprio = int(shape["action"]), int(shape["proprio"])
    numbers: dict[str, Any] = {name: _numbers(record.column(name)) for name in SCALARS}
    cameras = {name: tuple(sides) for name, sides in shape["cameras"].items()}
    future = {camera: (count, horizons, *sides) for camera, sides in cameras.items()}
    return Batch(
        **{name: record.column(name).to_pylist() for name in TEXTS},
        **numbers,
        proprio=vector_rows(record.column("proprio"), proprio),
        action=_list(record, "action", (count, chunk, action), np.float32),
        chunk_valid=_list(record, "chunk_valid", (count, chunk), np.bool_),
        future_proprio=_list(record, "future_proprio", (count, horizons, proprio), np.float32),
        future_valid=_list(record, "future_valid", (count, horizons), np.bool_),
        images={camera: _frames(record, f"images.{camera}", (count, *sides)) for camera, sides in cameras.items()},
        future_images={camera: _frames(record, f"future_images.{camera}", sides) for camera, sides in future.items()},
        **(_thoughts(record) if shape["thoughts"] else {}),
    )


def _thoughts(record: pa.RecordBatch) -> dict[str, Any]:
    return {
        "subgoal": record.column("subgoal").to_pylist(),
        "track": _list(record, "track", (record.num_rows, POINTS, 2), np.float32),
        "track_valid": _list(record, "track_valid", (record.num_rows, POINTS), np.bool_),
    }


def _numbers(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=not pa.types.is_boolean(column.type))


def _list(record: pa.RecordBatch, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, dtype=dtype)
    return _numbers(record.column(name).flatten()).reshape(shape)


def _frames(record: pa.RecordBatch, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.empty(shape, object if len(shape) < 3 else np.uint8)
    column = record.column(name)
    if not pa.types.is_fixed_size_binary(column.type):
        return cells_of(column if pa.types.is_binary(column.type) else column.flatten()).reshape(shape)
    size = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    return data[column.offset * size : (column.offset + len(column)) * size].reshape(shape)
