"""An episode as the columns of a LeRobot data file, and as the features of its info.json. T steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ramp.datasets.layout import ACTION, STATE
from ramp.datasets.pictures import pixel_format, to_png
from ramp.types import Episode, Outcome, StepSchema

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCALARS: Mapping[str, pa.DataType] = {
    "next.reward": pa.float32(),
    "next.done": pa.bool_(),
    "next.success": pa.bool_(),
    "timestamp": pa.float32(),
    "frame_index": pa.int64(),
    "episode_index": pa.int64(),
    "index": pa.int64(),
    "task_index": pa.int64(),
}
"""Columns with a number a row, after state and action."""


def camera_key(camera: str) -> str:
    return f"observation.images.{camera}"


def features(schema: StepSchema, fps: float, *, lossless: bool) -> dict[str, Any]:
    """For meta/info.json."""
    found: dict[str, Any] = {
        STATE: _vector_feature("state", schema.proprio_width),
        ACTION: _vector_feature("action", schema.action_width),
    }
    for camera, shape in sorted(schema.cameras.items()):
        found[camera_key(camera)] = _picture_feature(shape, fps, lossless=lossless)
    names = {pa.bool_(): "bool", pa.float32(): "float32", pa.int64(): "int64"}
    return found | {key: {"dtype": names[kind], "shape": [1], "names": None} for key, kind in SCALARS.items()}


def _vector_feature(name: str, width: int) -> dict[str, Any]:
    return {"dtype": "float32", "shape": [width], "names": [f"{name}_{number}" for number in range(width)]}


def _picture_feature(shape: Sequence[int], fps: float, *, lossless: bool) -> dict[str, Any]:
    feature = {"shape": list(shape), "names": ["height", "width", "channels"]}
    if lossless:
        return {"dtype": "image", **feature}
    about = {
        "video.height": shape[0],
        "video.width": shape[1],
        "video.codec": "h264",
        "video.pix_fmt": pixel_format(shape[0], shape[1]),
        "video.is_depth_map": False,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": False,
    }
    return {"dtype": "video", **feature, "info": about}


def shown(episode: Episode) -> np.ndarray:
    """int64 [T]: which frame a row shows: its own, else the last one before it, else the first."""
    rows = np.arange(len(episode.steps))
    return np.maximum(np.searchsorted(episode.steps.frame_row, rows, side="right") - 1, 0)


def to_table(
    episode: Episode, *, episode_index: int, first: int, task_index: int, fps: float, lossless: bool
) -> pa.Table:
    """The rows of a data file; `first` is the index of the first one in the whole dataset."""
    steps, length = episode.steps, len(episode.steps)
    last = np.arange(length) == length - 1
    scalars = {
        "next.reward": steps.reward,
        "next.done": last,
        "next.success": last & (episode.outcome is Outcome.SUCCESS),
        "timestamp": steps.step / fps,
        "frame_index": steps.step,
        "episode_index": np.full(length, episode_index),
        "index": first + np.arange(length),
        "task_index": np.full(length, task_index),
    }
    arrays: dict[str, pa.Array] = {STATE: _vector(steps.proprio), ACTION: _vector(steps.action)}
    if lossless:
        arrays |= {camera_key(camera): _pictures(episode, camera) for camera in sorted(steps.images)}
    arrays |= {key: pa.array(scalars[key]).cast(kind, safe=False) for key, kind in SCALARS.items()}
    return pa.table(arrays)


def _vector(rows: np.ndarray) -> pa.Array:
    """A list of fixed size a row; a plain number where it has one, as LeRobot's library expects."""
    values = pa.array(np.ascontiguousarray(rows, np.float32).reshape(-1))
    return values if rows.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(values, rows.shape[1])


def _pictures(episode: Episode, camera: str) -> pa.Array:
    encoded = [to_png(frame) for frame in episode.steps.images[camera]]
    return pa.array([{"bytes": encoded[frame], "path": None} for frame in shown(episode)], PICTURE)
