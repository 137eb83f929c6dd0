"""Sampled batches as Arrow columns: the form in which they cross the wire.

Columns are named as the fields of ramp.types.Batch; frames are the columns `images.<camera>` and, K a row,
`future_images.<camera>`, as bytes or as places (ramp/replay/frame_columns.py). The schema's metadata `ramp.shape` says
in JSON what the sizes mean (an encoded camera has none: its pictures say it), and whether there are the columns
subgoal, track and track_valid.
B, H, K, P, A as in ramp.types.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ramp.data.track import POINTS
from ramp.errors import Invalid
from ramp.replay.columns import vector_rows
from ramp.replay.frame_columns import CELLS, byte_column, column_frames, place_column
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
    columns = _number_columns(outline.batch)
    for name, places in _frame_columns(outline):
        columns.append(byte_column(name, places, sources))
    return _record(outline, columns)


def places_to_arrow(outline: Outline) -> pa.RecordBatch:
    """With the frames' places in the segments."""
    columns = _number_columns(outline.batch)
    columns += [place_column(name, places) for name, places in _frame_columns(outline)]
    return _record(outline, columns)


def _frame_columns(outline: Outline) -> Iterator[tuple[str, Places]]:
    for camera in sorted(outline.images):
        yield f"images.{camera}", outline.images[camera]
        if outline.batch.future_valid.shape[1]:
            yield f"future_images.{camera}", outline.future_images[camera]


def _number_columns(batch: Batch) -> list[Column]:
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
    return [(pa.field(name, column.type, nullable=False), column) for name, column in columns.items()]


def _record(outline: Outline, columns: Sequence[Column]) -> pa.RecordBatch:
    batch = outline.batch
    shape = {
        "chunk": batch.action.shape[1],
        "horizons": batch.future_valid.shape[1],
        "action": batch.action.shape[2],
        "proprio": batch.proprio.shape[1],
        "thoughts": batch.subgoal is not None,
        "cameras": {camera: list(sides) for camera, sides in sorted(outline.cameras.items())},
    }
    schema = pa.schema([field for field, _ in columns], {SHAPE: json.dumps(shape)})
    return pa.RecordBatch.from_arrays([array for _, array in columns], schema=schema)


def _rows(array: np.ndarray, kind: pa.DataType, width: int) -> pa.FixedSizeListArray:
    values = pa.array(np.ascontiguousarray(array).reshape(-1), kind)
    return pa.FixedSizeListArray.from_arrays(values, type=pa.list_(pa.field("item", kind, nullable=False), width))


def batch_from_arrow(record: pa.RecordBatch, pixels: Pixels | None = None) -> Batch:
    """The inverse of both; arrays are read-only views of the record's memory, but for frames that `pixels` has.

    Raises Invalid for anything else, Corrupt as `pixels` does.
    """
    try:
        shape = json.loads((record.schema.metadata or {})[SHAPE])
        return _decode(record, shape, pixels)
    except (KeyError, ValueError, TypeError, pa.ArrowException) as error:
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
        action=_list(record, "action", (count, chunk, action), np.float32),
        chunk_valid=_list(record, "chunk_valid", (count, chunk), np.bool_),
        future_proprio=_list(record, "future_proprio", (count, horizons, proprio), np.float32),
        future_valid=_list(record, "future_valid", (count, horizons), np.bool_),
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
        "track": _list(record, "track", (record.num_rows, POINTS, 2), np.float32),
        "track_valid": _list(record, "track_valid", (record.num_rows, POINTS), np.bool_),
    }


def _numbers(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=not pa.types.is_boolean(column.type))


def _list(record: pa.RecordBatch, name: str, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    if 0 in shape:
        return np.zeros(shape, dtype=dtype)
    return _numbers(record.column(name).flatten()).reshape(shape)


def _future(record: pa.RecordBatch, name: str, shape: tuple[int, ...], pixels: Pixels | None) -> np.ndarray:
    if 0 in shape:
        return np.empty(shape, np.uint8 if len(shape) > CELLS else object)
    return column_frames(record, name, shape, pixels)
