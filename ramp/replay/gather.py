"""From drawn items to the outline of a batch: windows of actions, frames at the horizons, and where the frames lie.

B, H, K as in ramp.types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ramp.data.picture_header import max_cell
from ramp.data.track import POINTS, ahead
from ramp.errors import Invalid
from ramp.replay.frames import Outline, Places
from ramp.replay.memory import LABELS, View
from ramp.replay.selection import Drawn
from ramp.types import Batch, Encoding, SampleSpec, StepSchema

MAX_BATCH = 65536
MAX_CHUNK = 4096
MAX_HORIZONS = 64
MAX_STRIDE = 100_000  # steps between the points of a track
MAX_BATCH_BYTES = 448 * 2**20  # of one batch in memory, and so of one message
CHUNK_BYTES = 17  # to find one step of a chunk: two indices of 8 bytes and whether it is valid
TRACK_BYTES = POINTS * (CHUNK_BYTES + 8)  # a track is found in the same way, two numbers a point


def check_spec(spec: SampleSpec) -> None:
    """Raises Invalid for a request that no table could answer."""
    if not 1 <= spec.batch_size <= MAX_BATCH:
        raise Invalid("batch_size", spec.batch_size, f"ask for 1 to {MAX_BATCH} items")
    if not 1 <= spec.chunk <= MAX_CHUNK:
        raise Invalid("chunk", spec.chunk, f"ask for 1 to {MAX_CHUNK} actions")
    horizons = spec.horizons
    if len(horizons) > MAX_HORIZONS or any(not 1 <= each < 2**31 for each in horizons):
        remedy = f"name at most {MAX_HORIZONS} numbers of steps ahead, above 0"
        raise Invalid("horizons", horizons[:MAX_HORIZONS], remedy)
    if not 0 <= spec.track_stride <= MAX_STRIDE:
        raise Invalid("track_stride", spec.track_stride, f"give 1 to {MAX_STRIDE} steps, or 0 for no labels")


def check_size(spec: SampleSpec, schema: StepSchema) -> None:
    """Raises Invalid for more than MAX_BATCH_BYTES. What is encoded counts as the pixels that the learner will have."""
    pixels = sum(max_cell(shape, schema.encoding(camera)) for camera, shape in schema.cameras.items())
    frames = (1 + len(spec.horizons)) * (pixels + 4 * schema.proprio_width)
    frames += TRACK_BYTES if spec.track_stride else 0
    size = spec.batch_size * (frames + spec.chunk * (4 * schema.action_width + CHUNK_BYTES))
    if size > MAX_BATCH_BYTES:
        remedy = f"stay below {MAX_BATCH_BYTES} bytes: a smaller batch, a shorter chunk or fewer horizons"
        raise Invalid("batch_size", f"{spec.batch_size} ({size} bytes)", remedy)


def gather(spec: SampleSpec, drawn: Drawn, view: View) -> Outline:
    """Everything but the frames' bytes, which nobody has touched yet."""
    items, probability = drawn
    episodes, rows = view.items["episode"][items], view.items["row"][items]
    begins, lengths = view.episodes["begin"][episodes], view.episodes["length"][episodes]
    ids, texts = episodes.tolist(), view.texts
    action, chunk_valid = _chunks(rows, begins + lengths, view.steps, spec.chunk)
    future, future_valid = _futures(rows, begins + lengths, view, spec.horizons)
    batch = Batch(
        episode_id=[texts.ids[each] for each in ids],
        task=[texts.tasks[each] for each in ids],
        instruction=[texts.instructions[each] for each in ids],
        step=(rows - begins).astype(np.int32),
        length=lengths,
        max_steps=view.episodes["max_steps"][episodes],
        success=view.episodes["success"][episodes],
        probability=probability,
        policy_version=view.steps["policy_version"][rows],
        source=view.steps["source"][rows],
        images={},
        proprio=view.steps["proprio"][rows],
        action=action,
        chunk_valid=chunk_valid,
        future_images={},
        future_proprio=view.steps["proprio"][view.items["row"][future]],
        future_valid=future_valid,
        **_labels(items, view),
        **(_thoughts(spec.track_stride, rows, view) if spec.track_stride else {}),
    )
    return Outline(batch, _sides(view.schema), _all_places(items, view), _all_places(future, view))


def _chunks(
    rows: np.ndarray, ends: np.ndarray, steps: Mapping[str, np.ndarray], chunk: int
) -> tuple[np.ndarray, np.ndarray]:
    """Actions float32 [B, H, A], the last one repeated beyond the end, and which of them may be trained on [B, H]."""
    wanted = rows[:, None] + np.arange(chunk)
    taken = np.minimum(wanted, ends[:, None] - 1)
    valid = (wanted < steps["until"][rows][:, None]) & steps["trainable"][taken]
    return steps["action"][taken], valid


def _futures(rows: np.ndarray, ends: np.ndarray, view: View, horizons: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Items [B, K] that show the steps `horizons` ahead, and which do so exactly [B, K]; else the last frame before."""
    wanted = rows[:, None] + np.array(horizons, dtype=np.int64)
    shown = view.steps["frame"][np.minimum(wanted, ends[:, None] - 1)]
    return shown, view.items["row"][shown] == wanted


def _labels(items: np.ndarray, view: View) -> dict[str, Any]:
    return {name: view.items[name][items] for name in LABELS}


def _thoughts(stride: int, rows: np.ndarray, view: View) -> dict[str, Any]:
    track, valid = ahead(view.steps["hand"], rows, view.steps["until"][rows], stride=stride)
    subgoal = [view.texts.subgoals[number] for number in view.steps["subgoal"][rows].tolist()]
    return {"subgoal": subgoal, "track": track, "track_valid": valid}


def _sides(schema: StepSchema) -> dict[str, tuple[int, ...]]:
    """Of each camera's frames; of encoded ones none, as their pictures say them."""
    return {
        camera: tuple(sides) if schema.encoding(camera) is Encoding.RAW else ()
        for camera, sides in schema.cameras.items()
    }


def _all_places(items: np.ndarray, view: View) -> dict[str, Places]:
    """By camera, of frames at `items`, int64 of any shape."""
    numbers, segment = np.unique(view.items["segment"][items], return_inverse=True)
    names = [view.texts.segments[number] for number in numbers.tolist()]
    segment, offset, found = segment.reshape(items.shape), view.items["offset"][items], {}
    length = view.items["length"][items].astype(np.int64)
    for number, camera in enumerate(sorted(view.schema.cameras)):
        found[camera] = Places(names, segment, offset[..., number], length[..., number])
    return found
