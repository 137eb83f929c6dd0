"""Sampled batches as Arrow columns: the form in which they cross the wire.

Columns are named as the fields of ramp.types.Batch; frames are the columns `images.<camera>` and, K a row,
`future_images.<camera>`, as bytes or as places (ramp/replay/frame_columns.py). The schema's metadata `ramp.shape` says
in JSON what the sizes mean (an encoded camera has none: its pictures say it), and whether there are the columns
subgoal, track and track_valid.
B, H, K, P, A as in ramp.types.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ramp.data.track import POINTS
from ramp.errors import Invalid
from ramp.replay.columns import vector_rows
from ramp.replay.frame_columns import CELLS, byte_column, byte_kind, column_frames, place_column, place_kind
from ramp.replay.frames import Outline, Pixels, Places, segments
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
Column = tuple[pa.Field, pa.Array]


def bytes_to_arrow(outline: Outline, pixels: Pixels) -> pa.RecordBatch:
    """With the frames' bytes, where they lie: nothing is copied but bit-packed booleans. Raises Corrupt."""
    sources = {name: pixels(name) for name in segments(outline)}
    return _record(outline, [byte_column(name, places, sources) for name, places in _frame_columns(outline)])


def places_to_arrow(outline: Outline) -> pa.RecordBatch:
    """With the frames' places in the segments."""
    return _record(outline, [place_column(name, places) for name, places in _frame_columns(outline)])


def _frame_columns(outline: Outline) -> Iterator[tuple[str, Places]]:
    for camera in sorted(outline.images):
        yield f"images.{camera}", outline.images[camera]
        if outline.batch.future_valid.shape[1]:
            yield f"future_images.{camera}", outline.future_images[camera]


def _record(outline: Outline, frames: Sequence[Column]) -> pa.RecordBatch:
    batch = outline.batch
    shape = {
        "chunk": batch.action.shape[1],
        "horizons": batch.future_valid.shape[1],
        "action": batch.action.shape[2],
        "proprio": batch.proprio.shape[1],
        "thoughts": batch.subgoal is not None,
        "cameras": {camera: list(sides) for camera, sides in sorted(outline.cameras.items())},
    }
    fields = _number_fields(shape)
    numbers = [_array(getattr(batch, field.name), field.type) for field in fields]
    schema = pa.schema([*fields, *(field for field, _ in frames)], {SHAPE: json.dumps(shape)})
    return pa.RecordBatch.from_arrays([*numbers, *(array for _, array in frames)], schema=schema)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(kind):
        flat = pa.array(np.ascontiguousarray(values).reshape(-1), kind.value_type)
        return pa.FixedSizeListArray.from_arrays(flat, type=kind)
    return pa.array(list(values) if kind == pa.string() else values, kind)


# --------------------------------------------------------------------------------------- what there must be


def _number_fields(shape: Mapping[str, Any]) -> list[pa.Field]:
    """The columns of a batch of this shape but for its frames. Raises KeyError, TypeError and ValueError for a shape
    that is none."""
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
    return [pa.field(name, kind, nullable=False) for name, kind in kinds.items()]


def _size(number: object) -> int:
    """Raises ValueError for what is no width of a column; Arrow takes -1 for a width that varies."""
    if not isinstance(number, int) or not 0 <= number < 2**31:
        raise ValueError(f"a size of {str(number)[:40]}")
    return number


def _list(kind: pa.DataType, width: int) -> pa.DataType:
    return pa.list_(pa.field("item", kind, nullable=False), _size(width))


def _check(record: pa.RecordBatch, shape: Mapping[str, Any]) -> None:
    """That the record has the columns of its shape. Raises KeyError, TypeError and ValueError."""
    numbers, frames = _number_fields(shape), _frame_kinds(shape)
    names = [*(field.name for field in numbers), *(name for name, _ in frames)]
    if record.schema.names != names or list(record.schema)[: len(numbers)] != numbers:
        raise ValueError(f"columns {str(record.schema.remove_metadata())[:160]!r}")
    for name, kinds in frames:
        if record.schema.field(name).type not in kinds:
            raise ValueError(f"{name} of {str(record.schema.field(name).type)[:80]}")
    if any(map(_has_nulls, record.columns)):
        raise ValueError("a null")


def _frame_kinds(shape: Mapping[str, Any]) -> list[tuple[str, tuple[pa.DataType, pa.DataType]]]:
    """The columns of frames, and in which forms each may come. Raises as `_number_fields`."""
    horizons, found = _size(shape["horizons"]), []
    for camera, sides in shape["cameras"].items():
        _size(math.prod(map(_size, sides)))
        if len(sides) not in (0, 3):
            raise ValueError(f"a camera of {len(sides)} sides")
        found.append((f"images.{camera}", (byte_kind(0), place_kind(0))))
        if horizons:
            found.append((f"future_images.{camera}", (byte_kind(horizons), place_kind(horizons))))
    return found


def _has_nulls(column: pa.Array) -> bool:
    inner = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    return bool(column.null_count or inner.null_count)


# ------------------------------------------------------------------------------------------------- reading


def batch_from_arrow(record: pa.RecordBatch, pixels: Pixels | None = None) -> Batch:
    """The inverse of both; arrays are read-only views of the record's memory, but for frames that `pixels` has.

    The record may be a stranger's. Raises Invalid for anything else, Corrupt as `pixels` does.
    """
    try:
        record.validate(full=True)
        shape = json.loads((record.schema.metadata or {})[SHAPE])
        _check(record, shape)
        return _decode(record, shape, pixels)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, pa.ArrowException) as error:
        raise Invalid("arrow", str(error)[:200], "send what bytes_to_arrow or places_to_arrow makes") from error


def _decode(record: pa.RecordBatch, shape: Mapping[str, Any], pixels: Pixels | None) -> Batch:
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
        images={
            camera: column_frames(record, f"images.{camera}", (count, *sides), pixels)
            for camera, sides in cameras.items()
        },
        future_images={
            camera: _future(record, f"future_images.{camera}", sides, pixels) for camera, sides in future.items()
        },
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


def _future(record: pa.RecordBatch, name: str, shape: tuple[int, ...], pixels: Pixels | None) -> np.ndarray:
    if 0 in shape:
        return np.empty(shape, np.uint8 if len(shape) > CELLS else object)
    return column_frames(record, name, shape, pixels)
