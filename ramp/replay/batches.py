"""Sampled batches as Arrow columns: the form in which they cross the wire.

Columns are named as the fields of ramp.types.Batch; images are fixed-size binaries of raw bytes, `images.<camera>`
[height * width * channels] and `future_images.<camera>` [K * height * width * channels]. The schema's metadata
`ramp.shape` says in JSON what the sizes mean, and whether there are the columns subgoal, track and track_valid.
B, H, K, P, A as in ramp.types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from ramp.data.track import POINTS
from ramp.errors import Invalid
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
    shape = {
        "chunk": chunk,
        "horizons": batch.future_valid.shape[1],
        "action": width,
        "proprio": batch.proprio.shape[1],
        "thoughts": batch.subgoal is not None,
        "cameras": {camera: frames.shape[1:] for camera, frames in sorted(batch.images.items())},
    }
    columns = _columns(shape)
    arrays = [_array(_values(batch, name), kind) for name, kind in zip(columns.names, columns.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=columns.with_metadata({SHAPE: json.dumps(shape)}))


def _columns(shape: Mapping[str, Any]) -> pa.Schema:
    """Which columns a batch of this shape has. Raises KeyError, TypeError and ValueError for a shape that is none."""
    chunk, horizons, action, proprio = (_size(shape[name]) for name in ("chunk", "horizons", "action", "proprio"))
    kinds: dict[str, pa.DataType] = {name: pa.string() for name in TEXTS} | dict(SCALARS)
    kinds |= {"proprio": _list(pa.float32(), proprio), "action": _list(pa.float32(), chunk * action)}
    kinds["chunk_valid"] = _list(pa.bool_(), chunk)
    if horizons:
        kinds["future_proprio"] = _list(pa.float32(), horizons * proprio)
        kinds["future_valid"] = _list(pa.bool_(), horizons)
    if shape["thoughts"]:
        kinds |= {"subgoal": pa.string(), "track": _list(pa.float32(), 2 * POINTS)}
        kinds["track_valid"] = _list(pa.bool_(), POINTS)
    for camera, sides in shape["cameras"].items():
        size = math.prod(map(_size, sides))
        kinds[f"images.{camera}"] = pa.binary(_size(size))
        if horizons:
            kinds[f"future_images.{camera}"] = pa.binary(_size(horizons * size))
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in kinds.items()])


def _size(number: object) -> int:
    """Raises ValueError for what is no width of a column; Arrow takes -1 for a width that varies."""
    if not isinstance(number, int) or not 0 <= number < 2**31:
        raise ValueError(f"a size of {str(number)[:40]}")
    return number


def _list(kind: pa.DataType, width: int) -> pa.DataType:
    return pa.list_(pa.field("item", kind, nullable=False), _size(width))


def _values(batch: Batch, name: str) -> Any:
    group, _, camera = name.partition(".")
    return getattr(batch, group)[camera] if camera else getattr(batch, name)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_binary(kind):
        data = pa.py_buffer(np.ascontiguousarray(values).reshape(-1))
        return pa.FixedSizeBinaryArray.from_buffers(kind, len(values), [None, data])
    if pa.types.is_fixed_size_list(kind):
        flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    return pa.array(list(values) if kind == pa.string() else values, kind)


def batch_from_arrow(record: pa.RecordBatch) -> Batch:
    """The inverse; arrays are read-only views of the record's memory. `record` must have passed
    `record.validate(full=True)` if a stranger sent it. Raises Invalid for anything else."""
    try:
        shape = json.loads((record.schema.metadata or {})[SHAPE])
        _check(record, shape)
        return _decode(record, shape)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise Invalid("arrow", str(error)[:200], "send what batch_to_arrow makes") from error


def _check(record: pa.RecordBatch, shape: Mapping[str, Any]) -> None:
    """Raises as `_columns`."""
    if not record.schema.equals(_columns(shape), check_metadata=False):
        raise ValueError(f"columns {str(record.schema.remove_metadata())[:160]!r}")
    if any(column.null_count for column in record.columns):
        raise ValueError("a null")


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
        action=_vectors(record, "action", (count, chunk, action), np.float32),
        chunk_valid=_vectors(record, "chunk_valid", (count, chunk), np.bool_),
        future_proprio=_vectors(record, "future_proprio", (count, horizons, proprio), np.float32),
        future_valid=_vectors(record, "future_valid", (count, horizons), np.bool_),
        images={camera: _frames(record, f"images.{camera}", (count, *sides)) for camera, sides in cameras.items()},
        future_images={camera: _frames(record, f"future_images.{camera}", sides) for camera, sides in future.items()},
        **(_thoughts(record) if shape["thoughts"] else {}),
    )


def _thoughts(record: pa.RecordBatch) -> dict[str, Any]:
    return {
        "subgoal": record.column("subgoal").to_pylist(),
        "track": _vectors(record, "track", (record.num_rows, POINTS, 2), np.float32),
        "track_valid": _vectors(record, "track_valid", (record.num_rows, POINTS), np.bool_),
    }


def _numbers(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=not pa.types.is_boolean(column.type))


def _vectors(record: pa.RecordBatch, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, dtype=dtype)
    return _numbers(record.column(name).flatten()).reshape(shape)


def _frames(record: pa.RecordBatch, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, dtype=np.uint8)
    column = record.column(name)
    size = column.type.byte_width
    data = np.frombuffer(column.buffers()[1], dtype=np.uint8)
    return data[column.offset * size : (column.offset + len(column)) * size].reshape(shape)
