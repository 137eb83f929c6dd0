"""What an episode must satisfy before a byte of it is stored. Producers check the same before they send."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping

import numpy as np

from ramp.data.picture_header import PictureHeader, max_cell, read_header
from ramp.data.track import REACH
from ramp.errors import Invalid
from ramp.replay.info import Limits
from ramp.types import Encoding, EpisodeHeader, Source, StepBatch, StepSchema

EPISODE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
NAME = re.compile(r"[A-Za-z0-9._ -]{1,128}")
MAX_TEXT = 4096  # characters of an instruction
MAX_WIDTH = 4096  # numbers in a proprioception or an action
MAX_CAMERAS = 16
MAX_SIDE = 4096  # pixels
MAX_SUBGOAL = 256  # characters of a step's subgoal

DTYPES: Mapping[str, type] = {
    "step": np.int32,
    "timestamp": np.float64,
    "proprio": np.float32,
    "action": np.float32,
    "reward": np.float32,
    "source": np.uint8,
    "trainable": np.bool_,
    "policy_version": np.int32,
    "frame_row": np.int32,
}


def check_header(header: EpisodeHeader, limits: Limits) -> None:
    """Raises Invalid with the field that is wrong."""
    if not EPISODE_ID.fullmatch(header.episode_id):
        raise Invalid("episode_id", repr(header.episode_id[:160]), "use 1 to 128 characters of A-Z a-z 0-9 . _ -")
    for name in ("task", "robot"):
        if not NAME.fullmatch(getattr(header, name)):
            raise Invalid(name, repr(getattr(header, name)[:160]), "use 1 to 128 letters, digits, spaces, dots, - or _")
    if len(header.instruction) > MAX_TEXT:
        raise Invalid("instruction", f"{len(header.instruction)} characters", f"use at most {MAX_TEXT}")
    if not 1 <= header.max_steps <= limits.max_episode_steps:
        raise Invalid(
            "max_steps", header.max_steps, f"give the task's time limit, 1 to {limits.max_episode_steps} steps"
        )
    if not -(2**63) <= header.seed < 2**63:
        raise Invalid("seed", header.seed, "give a signed 64-bit number")
    if not header.tables or len(set(header.tables)) != len(header.tables):
        raise Invalid("tables", header.tables, "name at least one table, each once")
    check_schema(header.schema)


def check_schema(schema: StepSchema) -> None:
    """Raises Invalid for a schema that no robot has."""
    if not 1 <= len(schema.cameras) <= MAX_CAMERAS:
        raise Invalid("schema.cameras", f"{len(schema.cameras)} cameras", f"name 1 to {MAX_CAMERAS} cameras")
    for camera, shape in schema.cameras.items():
        if not NAME.fullmatch(camera) or len(shape) != 3:
            raise Invalid("schema.cameras", repr(camera[:160]), "name a camera and its (height, width, channels)")
        if not (all(1 <= side <= MAX_SIDE for side in shape[:2]) and 1 <= shape[2] <= 4):
            raise Invalid(f"schema.cameras.{camera}", tuple(shape), f"give sides of 1 to {MAX_SIDE}, 1 to 4 channels")
    _check_encodings(schema)
    if not 1 <= schema.proprio_width <= MAX_WIDTH:
        raise Invalid("schema.proprio_width", schema.proprio_width, f"give 1 to {MAX_WIDTH}")
    if not 1 <= schema.action_width <= MAX_WIDTH or len(schema.action_high) != schema.action_width:
        lengths = (len(schema.action_low), len(schema.action_high))
        raise Invalid(
            "schema.action_low", f"{lengths} bounds", f"give a low and a high bound per dimension, 1 to {MAX_WIDTH}"
        )
    low, high = np.asarray(schema.action_low), np.asarray(schema.action_high)
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low <= high).all()):
        raise Invalid("schema.action_low", schema.action_low, "give finite bounds, low at or below high")


def _check_encodings(schema: StepSchema) -> None:
    for camera, encoding in schema.encodings.items():
        field = f"schema.encodings.{camera[:160]}"
        if camera not in schema.cameras:
            raise Invalid(field, str(encoding), f"encode one of the cameras {sorted(schema.cameras)}")
        if encoding not in (Encoding.JPEG, Encoding.PNG):
            raise Invalid(field, str(encoding), "choose jpeg or png; leave out a camera whose frames are raw")
        if encoding is Encoding.JPEG and schema.cameras[camera][2] not in (1, 3):
            channels = schema.cameras[camera][2]
            raise Invalid(field, f"jpeg of {channels} channels", "use png or raw: a JPEG has no place for depth")


def check_steps(steps: StepBatch, schema: StepSchema, limits: Limits, *, thoughts: bool = False) -> None:
    """What can be said of a batch alone, and of an episode's with or without `thoughts`. Raises Invalid with the field,
    the first wrong value and the remedy."""
    _check_shapes(steps, schema, limits)
    _check_numbers(steps, schema)
    _check_frames(steps, schema)
    _check_thoughts(steps, thoughts)


def check_follows(steps: StepBatch, next_step: int, last_timestamp: float, max_steps: int) -> None:
    """What needs the batches before: consecutive steps, rising time, the episode's limit. Raises Invalid."""
    expected = np.arange(next_step, next_step + len(steps), dtype=np.int64)
    wrong = np.flatnonzero(steps.step != expected)
    if len(wrong):
        row = int(wrong[0])
        raise Invalid("step", f"{steps.step[row]} at row {row}", f"send step {expected[row]}: steps are consecutive")
    if next_step + len(steps) > max_steps:
        raise Invalid("step", int(steps.step[-1]), f"end the episode: its max_steps is {max_steps}")
    before = np.concatenate([[last_timestamp], steps.timestamp[:-1]])
    wrong = np.flatnonzero(~(steps.timestamp > before))
    if len(wrong):
        row = int(wrong[0])
        value = f"{steps.timestamp[row]} s at step {steps.step[row]} after {before[row]} s"
        raise Invalid("timestamp", value, "send strictly increasing seconds since the episode began")


def _check_shapes(steps: StepBatch, schema: StepSchema, limits: Limits) -> None:
    length = len(steps)
    if not 1 <= length <= limits.max_steps_per_batch:
        raise Invalid("step", f"{length} steps in a batch", f"send 1 to {limits.max_steps_per_batch}")
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(DTYPES, (length,))
    shapes["proprio"], shapes["action"] = (length, schema.proprio_width), (length, schema.action_width)
    shapes["frame_row"] = (len(steps.frame_row),)
    for name, dtype in DTYPES.items():
        array = getattr(steps, name)
        if array.dtype != dtype or array.shape != shapes[name]:
            raise Invalid(name, f"{array.dtype} {array.shape}", f"send {np.dtype(dtype)} {shapes[name]}")


def _check_numbers(steps: StepBatch, schema: StepSchema) -> None:
    for name in ("timestamp", "proprio", "action", "reward"):
        _refuse_where(~np.isfinite(getattr(steps, name)), steps, name, "send finite numbers")
    low, high = np.asarray(schema.action_low, np.float32), np.asarray(schema.action_high, np.float32)
    outside = (steps.action < low) | (steps.action > high)
    _refuse_where(outside, steps, "action", f"send actions within {schema.action_low} and {schema.action_high}")
    _refuse_where(steps.source > max(Source), steps, "source", "send 0 policy, 1 human, 2 demo or 3 dream")
    _refuse_where(steps.policy_version < 0, steps, "policy_version", "send a version, or 0 where there was none")


def _refuse_where(wrong: np.ndarray, steps: StepBatch, name: str, remedy: str) -> None:
    if wrong.any():
        where = tuple(int(index) for index in np.argwhere(wrong)[0])
        dimension = f", dimension {where[1]}" if len(where) > 1 else ""
        value = f"{getattr(steps, name)[where]} at step {steps.step[where[0]]}{dimension}"
        raise Invalid(name, value, remedy)


def _check_frames(steps: StepBatch, schema: StepSchema) -> None:
    rows = steps.frame_row
    if len(rows) and (rows[0] < 0 or rows[-1] >= len(steps) or (np.diff(rows) <= 0).any()):
        raise Invalid("frame_row", rows.tolist()[:16], "send strictly increasing rows of this batch")
    if set(steps.images) != set(schema.cameras):
        raise Invalid("images", sorted(steps.images), f"send the cameras {sorted(schema.cameras)}")
    for camera, shape in schema.cameras.items():
        frames = steps.images[camera]
        if schema.encoding(camera) is not Encoding.RAW:
            _check_cells(steps, schema, camera)
        elif frames.dtype != np.uint8 or frames.shape != (len(rows), *shape):
            raise Invalid(f"images.{camera}", f"{frames.dtype} {frames.shape}", f"send uint8 {(len(rows), *shape)}")


def _check_cells(steps: StepBatch, schema: StepSchema, camera: str) -> None:
    """Each picture by its header: no pixel is decoded here."""
    cells, encoding, rows = steps.images[camera], schema.encoding(camera), steps.frame_row
    if cells.dtype != object or cells.shape != (len(rows),):
        remedy = f"send {len(rows)} {encoding} pictures: ramp.data.images.encode_steps makes them of pixels"
        raise Invalid(f"images.{camera}", f"{cells.dtype} {cells.shape}", remedy)
    for row, cell in zip(rows.tolist(), cells, strict=True):
        wrong = _objection(cell, PictureHeader(encoding, schema.cameras[camera]))
        if wrong:
            height, width, channels = schema.cameras[camera]
            remedy = f"send a {encoding} of {height} x {width} pixels, {channels} channels"
            raise Invalid(f"images.{camera}", f"{wrong} at step {steps.step[row]}", remedy)


def _objection(cell: object, announced: PictureHeader) -> str:
    if not isinstance(cell, bytes | memoryview):
        return f"a {type(cell).__name__}"
    longest = max_cell(announced.shape, announced.encoding)
    if len(cell) > longest:
        return f"{len(cell)} bytes, of at most {longest},"
    try:
        found = read_header(bytes(cell))
    except ValueError as error:
        return str(error)
    return "" if found == announced else f"a {found.encoding} of {found.shape}"


def _check_thoughts(steps: StepBatch, thoughts: bool) -> None:
    if not thoughts:
        if steps.subgoal is not None or steps.hand is not None:
            raise Invalid("subgoal, hand", "given", "say `thoughts` in the episode's header, or leave them out")
        return
    if steps.subgoal is None or steps.hand is None:
        raise Invalid("subgoal, hand", "missing", "send both with every step: the episode's header says `thoughts`")
    if steps.subgoal.shape != (len(steps),) or not all(isinstance(text, str) for text in steps.subgoal):
        raise Invalid("subgoal", f"shape {steps.subgoal.shape}", f"send {len(steps)} texts")
    longest = max(map(len, steps.subgoal))
    if longest > MAX_SUBGOAL:
        raise Invalid("subgoal", f"{longest} characters", f"use at most {MAX_SUBGOAL}")
    if steps.hand.dtype != np.float32 or steps.hand.shape != (len(steps), 2):
        raise Invalid("hand", f"{steps.hand.dtype} {steps.hand.shape}", f"send float32 {(len(steps), 2)}")
    _refuse_where(np.abs(steps.hand) > REACH, steps, "hand", f"send at most {REACH:g} half pictures, nan where unknown")


def nearest(name: str, known: Collection[str]) -> str:
    """A remedy for a name that nobody knows."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}there are: {', '.join(sorted(known))}"
