"""Where the frames of a drawn batch lie, and how they are fetched from there.

A batch is drawn as an `Outline`: all its numbers, and for each frame the place of its bytes. Whoever has the bytes of
the segments fills the frames in: the server before it answers, or a learner on the same host from its own maps.

B, K as in ramp.types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ramp.errors import Corrupt
from ramp.types import Batch

Pixels = Callable[[str], Any]
"""The bytes of a segment by its name: a mapped uint8 [size], or whatever else has `data` that can be sliced."""


@dataclass(frozen=True, slots=True)
class Places:
    """Frames in the order of the arrays: each is `length` bytes from `offset` on, in the segment `names[segment]`."""

    names: Sequence[str]
    segment: np.ndarray  # int64 [B] or [B, K]
    offset: np.ndarray  # int64, the same shape
    length: np.ndarray  # int64, the same shape


@dataclass(frozen=True, slots=True)
class Outline:
    """A batch whose images and future_images are still to be filled in."""

    batch: Batch
    cameras: Mapping[str, tuple[int, ...]]  # height, width, channels; of an encoded camera (): its pictures say it
    images: Mapping[str, Places]  # camera -> [B]
    future_images: Mapping[str, Places]  # camera -> [B, K]
    sources: Mapping[str, Any] = field(default_factory=dict)  # who drew it holds its segments, so that none can go

    def pixels(self, segment: str) -> Any:
        """The bytes of one of its segments, for who drew it."""
        return self.sources[segment]


def filled(outline: Outline, pixels: Pixels) -> Batch:
    """The whole batch; pixels are copies, encoded frames views. Raises Corrupt where a segment cannot be read."""
    sources, shapes = {name: pixels(name) for name in segments(outline)}, outline.cameras

    def frames(camera: str, places: Places) -> np.ndarray:
        return copied(places, shapes[camera], sources) if shapes[camera] else cells(places, sources)

    return replace(
        outline.batch,
        images={camera: frames(camera, places) for camera, places in outline.images.items()},
        future_images={camera: frames(camera, places) for camera, places in outline.future_images.items()},
    )


def segments(outline: Outline) -> set[str]:
    """The names of all segments in which its frames lie."""
    every = (*outline.images.values(), *outline.future_images.values())
    return {name for places in every for name in places.names}


def views(places: Places, sources: Mapping[str, Any]) -> list[memoryview]:
    """Each frame's bytes where they lie. Raises Corrupt where a segment ends before them."""
    data = [sources[name].data for name in places.names]
    begins, lengths = places.offset.reshape(-1).tolist(), places.length.reshape(-1).tolist()
    numbers = places.segment.reshape(-1).tolist()
    found = [
        data[number][begin : begin + length] for number, begin, length in zip(numbers, begins, lengths, strict=True)
    ]
    for view, number, length in zip(found, numbers, lengths, strict=True):
        if len(view) != length:
            raise Corrupt(f"segment {places.names[number]} ends before a frame of it")
    return found


def cells(places: Places, sources: Mapping[str, Any]) -> np.ndarray:
    """Object [*places] of memoryviews: encoded frames of one camera, where they lie."""
    found = np.empty(places.offset.size, object)
    for row, view in enumerate(views(places, sources)):
        found[row] = view
    return found.reshape(places.offset.shape)


def copied(places: Places, shape: tuple[int, ...], sources: Mapping[str, Any]) -> np.ndarray:
    """uint8 [*places, height, width, channels] of one camera."""
    found = np.empty((*places.offset.shape, *shape), dtype=np.uint8)
    target = found.reshape(places.offset.size, int(np.prod(shape)))
    for row, view in enumerate(views(places, sources)):
        target[row] = np.frombuffer(view, np.uint8)  # lets other threads go on meanwhile
    return found
