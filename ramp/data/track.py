"""The hand's way through the picture: where an episode's end effector will be, as one camera would see it.

Stored is where the hand is at each step; a track is read off the steps ahead when an item is sampled.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ramp.errors import Invalid

POINTS = 10
"""Of a track: t_1 to t_10 of RAMP's Eq. 1."""
REACH = 10.0
"""In half pictures from the middle: beyond it nobody calls a point seen, even where the camera's plane has one."""

Project = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Points [T, 3] in metres to picture coordinates [T, 2] from -1 to 1 and depth [T]: ramp.envs.projection's Pinhole."""


def seen(position: np.ndarray, project: Project) -> np.ndarray:
    """Picture coordinates float32 [T, 2] of points [T, 3] in metres; nan where a point is not before the camera.

    A point that the picture's edge cuts off is seen all the same. Raises Invalid for what is no row of finite points.
    """
    if position.ndim != 2 or position.shape[1] != 3 or not np.isfinite(position).all():
        raise Invalid("position", f"shape {position.shape}", "give finite points [T, 3]")
    picture, depth = project(position)
    known = (depth > 0) & (np.abs(picture) <= REACH).all(axis=1)
    return np.where(known[:, None], picture, np.nan).astype(np.float32)


def ahead(hand: np.ndarray, row: np.ndarray, end: np.ndarray, *, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """The track from each of B rows: points float32 [B, 10, 2], and which of them are known, bool [B, 10].

    `hand` float32 [N, 2] is what `seen` gives, of many episodes one after the other. Point k of row r is the hand at
    row r + (k + 1) stride; it is not known from row `end` int [B] on, and where it was not seen. It is 0 there.
    """
    wanted = row[:, None] + stride * np.arange(1, POINTS + 1)
    points = hand[np.minimum(wanted, end[:, None] - 1)]
    valid = (wanted < end[:, None]) & ~np.isnan(points).any(axis=-1)
    return np.where(valid[..., None], points, np.float32(0.0)), valid
