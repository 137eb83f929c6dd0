"""Steps as Arrow columns, with LeRobot v3 names: the form in which they cross the wire and rest on disk.

T steps, F frames, P proprioception width, A action width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from ramp.errors import Invalid
from ramp.replay.cells import binary_column, binary_offsets, cell_column, cell_places, cells_of, present_rows
from ramp.types import Encoding, StepBatch, StepSchema

IMAGE_PREFIX = "observation.images."
SCALARS: Mapping[str, tuple[str, pa.DataType]] = {
    "step": ("frame_index", pa.int32()),
    "timestamp": ("timestamp", pa.float64()),
    "reward": ("reward", pa.float32()),
    "source": ("source", pa.uint8()),
    "trainable": ("trainable", pa.bool_()),
    "policy_version": ("policy_version", pa.int32()),
}
"""Field of StepBatch -> column and its type."""
PER_STEP = (*SCALARS, "proprio", "action")
"""Fields of StepBatch with a row per step."""
THOUGHTS = ("subgoal", "hand")
"""Fields of StepBatch that only episodes with `thoughts` have, a row per step, and their columns."""
SUBGOAL, HAND, HAND_WIDTH = "subgoal", "observation.hand", 2


def step_columns(schema: StepSchema, *, thoughts: bool = False) -> pa.Schema:
    """The Arrow schema of steps that agree to `schema`. Image columns are null at steps without a frame."""
    fields = [pa.field(name, kind, nullable=False) for name, kind in SCALARS.values()]
    fields.insert(2, _vector("observation.state", schema.proprio_width))
    fields.insert(3, _vector("action", schema.action_width))
    fields += [pa.field(IMAGE_PREFIX + camera, pa.binary()) for camera in sorted(schema.cameras)]
    if thoughts:
        fields += [pa.field(SUBGOAL, pa.string(), nullable=False), _vector(HAND, HAND_WIDTH)]
    return pa.schema(fields)


def _vector(name: str, width: int) -> pa.Field:
    return pa.field(name, pa.list_(pa.field("item", pa.float32(), nullable=False), width), nullable=False)


def steps_to_arrow(steps: StepBatch, schema: StepSchema) -> pa.RecordBatch:
    """Images and numbers are not copied, but for the bit-packed `trainable`."""
    columns = step_columns(schema, thoughts=steps.subgoal is not None)
    arrays: dict[str, pa.Array] = {
        column: pa.array(getattr(steps, name), type=kind) for name, (column, kind) in SCALARS.items()
    }
    arrays["observation.state"] = vector_array(steps.proprio, columns.field("observation.state").type)
    arrays["action"] = vector_array(steps.action, columns.field("action").type)
    present = np.zeros(len(steps), dtype=bool)
    present[steps.frame_row] = True
    for camera in schema.cameras:
        arrays[IMAGE_PREFIX + camera] = _image_array(steps.images[camera], present)
    if steps.subgoal is not None and steps.hand is not None:
        arrays[SUBGOAL] = pa.array(steps.subgoal.tolist(), pa.string())
        arrays[HAND] = vector_array(steps.hand, columns.field(HAND).type)
    return pa.RecordBatch.from_arrays([arrays[name] for name in columns.names], schema=columns)


def vector_array(rows: np.ndarray, kind: pa.DataType) -> pa.Array:
    """float32 [T, W] as one fixed-size list a row, not copied where the rows lie together."""
    values = pa.array(np.ascontiguousarray(rows, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(values, type=kind)


def _image_array(frames: np.ndarray, present: np.ndarray) -> pa.Array:
    """Pixels uint8 [F, height, width, channels] or cells object [F] as binary values at the rows where `present` [T],
    null elsewhere."""
    if frames.dtype == object:
        return cell_column(frames, present)
    pixels = np.ascontiguousarray(frames, dtype=np.uint8).reshape(-1)
    return binary_column(pixels, present * np.int32(np.prod(frames.shape[1:])), present)


def steps_from_arrow(batch: pa.RecordBatch, schema: StepSchema) -> StepBatch:
    """The inverse; arrays are views of the batch's memory wherever that is possible.

    `batch` must have passed `batch.validate(full=True)` if a stranger sent it. Raises Invalid for other columns,
    nulls where there must be none, and images of another size.
    """
    columns = step_columns(schema, thoughts=SUBGOAL in batch.schema.names)
    if not batch.schema.equals(columns, check_metadata=False):
        raise Invalid("arrow", f"columns {_summary(batch.schema)}", f"send {_summary(columns)}")
    for name in columns.names:
        if not name.startswith(IMAGE_PREFIX) and (batch.column(name).null_count or _has_null_items(batch.column(name))):
            raise Invalid(name, "null", "send a value in every row")
    present, images = _images(batch, schema)
    numbers = numbers_from_arrow(batch, np.flatnonzero(present).astype(np.int32))
    return replace(numbers, images=images)


def numbers_from_arrow(batch: pa.RecordBatch, frame_row: np.ndarray) -> StepBatch:
    """Steps without images, whose camera columns `batch` may lack; `frame_row` int32 [F]: the rows that have frames."""
    scalars = {name: _numbers(batch.column(column)) for name, (column, _) in SCALARS.items()}
    proprio, action = batch.column("observation.state"), batch.column("action")
    return StepBatch(
        proprio=vector_rows(proprio, proprio.type.list_size),
        action=vector_rows(action, action.type.list_size),
        frame_row=frame_row,
        images={},
        **scalars,
        **_thoughts(batch),
    )


def _thoughts(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    """Texts as objects: numpy's own kind would give every row as much room as the longest needs."""
    if SUBGOAL not in batch.schema.names:
        return {}
    texts = np.array(batch.column(SUBGOAL).to_pylist(), dtype=object)
    return {"subgoal": texts, "hand": vector_rows(batch.column(HAND), HAND_WIDTH)}


def vector_rows(column: pa.FixedSizeListArray, width: int) -> np.ndarray:
    """float32 [T, width], the inverse of `vector_array`."""
    return np.asarray(column.flatten()).reshape(len(column), width)


def _has_null_items(column: pa.Array) -> bool:
    return pa.types.is_fixed_size_list(column.type) and column.flatten().null_count > 0


def _numbers(column: pa.Array) -> np.ndarray:
    return column.to_numpy(zero_copy_only=not pa.types.is_boolean(column.type))


def _images(batch: pa.RecordBatch, schema: StepSchema) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Rows that carry a frame (bool [T]) and each camera's frames; all cameras must agree on the rows."""
    rows = np.zeros(batch.num_rows, dtype=bool)
    images: dict[str, np.ndarray] = {}
    for number, camera in enumerate(sorted(schema.cameras)):
        present, images[camera] = _frames(batch.column(IMAGE_PREFIX + camera), schema, camera)
        if number and not np.array_equal(present, rows):
            raise Invalid(
                IMAGE_PREFIX + camera, "frames at other rows than the first camera", "send all cameras together"
            )
        rows = present
    return rows, images


def _frames(column: pa.BinaryArray, schema: StepSchema, camera: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows that carry a frame, and the frames: pixels, or cells of an encoded camera."""
    present, shape, name = present_rows(column), schema.cameras[camera], IMAGE_PREFIX + camera
    offsets, data = binary_offsets(column), column.buffers()[2]
    sizes, expected = np.diff(offsets), int(np.prod(shape))
    if schema.encoding(camera) is not Encoding.RAW:
        return present, cells_of(column)
    wrong = np.flatnonzero(sizes != np.where(present, expected, 0))
    if len(wrong):
        row = int(wrong[0])
        raise Invalid(name, f"{sizes[row]} bytes at row {row}", f"send {expected} bytes (raw pixels {shape}), or null")
    begin, end = int(offsets[0]), int(offsets[-1])
    flat = np.frombuffer(data, dtype=np.uint8)[begin:end] if end > begin else np.zeros(0, dtype=np.uint8)
    return present, flat.reshape(-1, *shape)


def frame_places(batch: pa.RecordBatch, base: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the frames lie: bytes from the address `base`, int64 [F, cameras], and lengths, int32 [F, cameras]; cameras
    in alphabetic order."""
    names = [name for name in batch.schema.names if name.startswith(IMAGE_PREFIX)]
    return cell_places([batch.column(name) for name in names], base)


def frame_bytes(steps: StepBatch) -> int:
    """Of all its frames, as they are."""
    return sum(sum(map(len, frames)) if frames.dtype == object else frames.nbytes for frames in steps.images.values())


def frame_rows(rows: pa.RecordBatch) -> np.ndarray:
    """bool [T]: which steps carry frames, of all cameras alike; no frame is read."""
    return present_rows(rows.column(camera_column(rows.schema)))


def camera_column(columns: pa.Schema) -> str:
    """The first one: a camera misses no frame that another one has."""
    return next(name for name in columns.names if name.startswith(IMAGE_PREFIX))


def _summary(schema: pa.Schema) -> str:
    text = ", ".join(f"{field.name}: {field.type}" for field in schema)
    return text if len(text) <= 600 else text[:600] + " ..."


def join_steps(parts: list[StepBatch], *, images: bool = True) -> StepBatch:
    """Consecutive batches as one, with or without copying their images."""
    begins = np.cumsum([0] + [len(part) for part in parts[:-1]])
    rows = [part.frame_row + begin for part, begin in zip(parts, begins, strict=True)]
    cameras = parts[0].images if images else {}
    return StepBatch(
        frame_row=np.concatenate(rows).astype(np.int32),
        images={camera: np.concatenate([part.images[camera] for part in parts]) for camera in cameras},
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _per_step(parts[0])},
    )


def slice_steps(steps: StepBatch, begin: int, end: int) -> StepBatch:
    """Rows `begin` to `end` as a batch of views."""
    first, last = np.searchsorted(steps.frame_row, [begin, end])
    return StepBatch(
        frame_row=steps.frame_row[first:last] - np.int32(begin),
        images={camera: frames[first:last] for camera, frames in steps.images.items()},
        **{name: getattr(steps, name)[begin:end] for name in _per_step(steps)},
    )


def _per_step(steps: StepBatch) -> tuple[str, ...]:
    return PER_STEP if steps.subgoal is None else (*PER_STEP, *THOUGHTS)
