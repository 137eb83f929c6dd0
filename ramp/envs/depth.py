"""Distances as the fourth channel of a picture."""

from __future__ import annotations

import numpy as np


def nearness(metres: np.ndarray, near: float, far: float) -> np.ndarray:
    """uint8 of distances along the camera's axis: 255 (1 / m - 1 / far) / (1 / near - 1 / far), rounded and cut.

    Inverse depth, which is what stereo cameras measure: 255 is `near` metres or less, so nearer is brighter. 0 is `far`
    metres, farther, or no reading at all. At m metres one grey level is about m^2 (1 / near - 1 / far) / 255 metres.
    """
    share = (1.0 / np.maximum(metres, near) - 1.0 / far) / (1.0 / near - 1.0 / far)
    return np.rint(255.0 * np.clip(share, 0.0, 1.0)).astype(np.uint8)
