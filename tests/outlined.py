"""A whole batch as what it is gathered from: an outline, and segments in which its frames lie scattered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ramp.replay.frames import Outline, Pixels, Places
from ramp.types import Batch

GAP = 3  # bytes between two frames


def outlined(batch: Batch) -> tuple[Outline, Pixels]:
    """Each frame lies in one of two segments, in reverse order, with gaps."""
    segments: dict[str, list[np.ndarray]] = {"even": [], "odd": []}
    images = {camera: _scattered(frames, segments) for camera, frames in batch.images.items()}
    future = {camera: _scattered(frames, segments) for camera, frames in batch.future_images.items()}
    cameras = {camera: frames.shape[1:] for camera, frames in batch.images.items()}
    data = {name: np.concatenate([np.zeros(0, np.uint8), *parts]) for name, parts in segments.items()}
    return Outline(replace(batch, images={}, future_images={}), cameras, images, future), data.__getitem__


def _scattered(frames: np.ndarray, segments: dict[str, list[np.ndarray]]) -> Places:
    names, shape = list(segments), frames.shape if frames.dtype == object else frames.shape[:-3]
    flat = [np.frombuffer(frames[place], np.uint8) for place in np.ndindex(shape)]
    segment, offset = np.arange(len(flat)) % 2, np.zeros(len(flat), np.int64)
    for row in reversed(range(len(flat))):
        parts = segments[names[segment[row]]]
        offset[row] = sum(map(len, parts)) + GAP
        parts += [np.full(GAP, 255, np.uint8), flat[row]]
    length = np.array([len(frame) for frame in flat], np.int64)
    return Places(names, segment.reshape(shape), offset.reshape(shape), length.reshape(shape))
