"""The gripper's way through the picture: where a demonstration's end effector will be, as the camera would see it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ramp.errors import Invalid

POINTS = 10
"""Of a track: t_1 to t_10 of RAMP's Eq. 1."""

Project = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Points [T, 3] in metres to picture coordinates [T, 2] from -1 to 1 and depth [T]: ramp.envs.projection's Pinhole."""


def tracks(position: np.ndarray, project: Project, *, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Of every step of an episode: points float32 [T, 10, 2] in the picture's units, and which of them are known.

    Point k of step t is the end effector, position [T, 3] in metres, at step t + (k + 1) stride. valid bool [T, 10] is
    False beyond the episode's end, and where the point is not before the camera; the point is 0 there. A point that
    the picture's edge cuts off is known all the same. Raises Invalid for positions that are no finite points.
    """
    if position.ndim != 2 or position.shape[1] != 3 or not np.isfinite(position).all():
        raise Invalid("position", f"shape {position.shape}", "give finite points [T, 3]")
    if stride < 1:
        raise Invalid("stride", stride, "give 1 step or more")
    picture, depth = project(position)
    ahead = np.arange(len(position))[:, None] + stride * np.arange(1, POINTS + 1)
    at = np.minimum(ahead, len(position) - 1)
    valid = (ahead < len(position)) & (depth > 0)[at]
    return np.where(valid[..., None], picture[at], 0.0).astype(np.float32), valid
