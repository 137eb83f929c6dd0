"""Camera frames of stored episodes as small inline pictures."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ramp.data.images import encode
from ramp.errors import RampError
from ramp.types import Encoding, Episode, Source

logger = logging.getLogger(__name__)

Fetch = Callable[[str], Episode]
"""Gives a stored episode by its id; raises RampError where it cannot."""

QUALITY = 85  # of the JPEGs: a 64x64 frame takes about 2 KB
MAX_FRAMES = 60  # per episode; more are thinned evenly


@dataclass(frozen=True, kw_only=True)
class Film:
    """What the cameras saw of one episode."""

    steps: tuple[int, ...]  # of the frames
    cameras: dict[str, tuple[str, ...]]  # name -> data URIs, one per step
    human: tuple[tuple[int, int], ...]  # first and last step of each stretch that a person drove


def film(fetch: Fetch | None, episode_id: str) -> Film | None:
    """The frames of an episode, or None where nothing can give them: the report is made without."""
    if fetch is None:
        return None
    try:
        return develop(fetch(episode_id))
    except (RampError, OSError) as error:
        logger.info("no frames of %s: %s", episode_id, error)
        return None


def develop(episode: Episode) -> Film:
    rows = episode.steps.frame_row
    count = min(len(rows), MAX_FRAMES)
    kept = [round(index) for index in np.linspace(0, len(rows) - 1, count).tolist()] if count else []
    return Film(
        steps=tuple(int(episode.steps.step[rows[index]]) for index in kept),
        cameras={
            name: tuple(data_uri(images[index]) for index in kept) for name, images in episode.steps.images.items()
        },
        human=stretches(episode.steps.source == Source.HUMAN),
    )


def data_uri(image: np.ndarray) -> str:
    """uint8 [height, width, 3 or 4] as the text of an `src` attribute; people see no depth."""
    cell = encode(image[..., :3], Encoding.JPEG, QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(cell).decode()


def stretches(flags: np.ndarray) -> tuple[tuple[int, int], ...]:
    """First and last index of every run of True in bool [T]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return tuple((int(start), int(end) - 1) for start, end in zip(edges[::2], edges[1::2], strict=True))
