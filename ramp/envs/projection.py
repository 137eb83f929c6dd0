"""Where a point of the world lies in a camera's picture: a pinhole, and no simulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ramp.envs.views import View


@dataclass(frozen=True, kw_only=True)
class Pinhole:
    """Extrinsics and intrinsics of a camera whose picture is square; vectors float64 [3] of the world, unit length."""

    position: np.ndarray  # metres
    right: np.ndarray
    down: np.ndarray
    forward: np.ndarray
    fovy: float  # vertical field of view, degrees

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Picture coordinates float64 [..., 2] of points [..., 3] in metres, and their depth [...] in metres.

        x runs from -1 at the picture's left edge to 1 at its right, y from -1 at the top to 1 at the bottom: column c
        of n is centred at x = (2 c + 1) / n - 1. What is not before the camera (depth of 0 or less) is given as 0, 0.
        """
        offset = points - self.position
        depth = offset @ self.forward
        before = depth > 0
        half = np.where(before, depth, 1.0) * np.tan(np.radians(self.fovy) / 2.0)  # of the picture's height, there
        picture = np.stack([offset @ self.right, offset @ self.down], axis=-1) / half[..., None]
        return np.where(before[..., None], picture, 0.0), depth


def pinhole(view: View) -> Pinhole:
    """The camera of a view, by MuJoCo's convention: azimuth 0 looks along x and 90 along y, elevation -90 down."""
    azimuth, elevation = np.radians(view.azimuth), np.radians(view.elevation)
    level = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    forward = np.cos(elevation) * level + np.array([0.0, 0.0, np.sin(elevation)])
    right = np.array([np.sin(azimuth), -np.cos(azimuth), 0.0])
    position = np.array(view.lookat) - view.distance * forward
    return Pinhole(position=position, right=right, down=np.cross(forward, right), forward=forward, fovy=view.fovy)
