"""What every contestant moves: episodes of 50 steps with two cameras of 224 x 224 pixels. numpy only: Reverb's own
environment imports it too.

T steps of an episode (`STEPS`), S side of a picture in pixels (`SIDE`).
"""

from __future__ import annotations

import numpy as np

CAMERAS = ("left", "right")
SIDE, STEPS = 224, 50
STATE, ACTION = 14, 7  # widths
WINDOW = 10  # steps of a sampled item, all with their frames
BATCH = 8  # items
FRAMES_BYTES = len(CAMERAS) * SIDE * SIDE * 3  # of one step
BATCH_BYTES = BATCH * WINDOW * FRAMES_BYTES
GRAIN = 3  # levels of sensor noise
PIECES = 4  # messages in which our client sends an episode


def moved(steps: int) -> dict[str, int]:
    """What an answer says of so many steps: bytes are those of the frames."""
    return {"steps": steps, "bytes": steps * FRAMES_BYTES}


def episode(seed: int = 0) -> dict[str, np.ndarray]:
    """Columns with a row per step: each camera uint8 [T, S, S, 3], state float32 [T, 14], action float32 [T, 7] within
    -1 and 1, reward float32 [T]."""
    random = np.random.default_rng(seed)
    return {
        **{camera: pictures(random) for camera in CAMERAS},
        "state": random.standard_normal((STEPS, STATE), np.float32),
        "action": random.random((STEPS, ACTION), np.float32),
        "reward": np.full(STEPS, -1, np.float32),
    }


def pictures(random: np.random.Generator) -> np.ndarray:
    """uint8 [T, S, S, 3]: a smooth scene that drifts by a pixel a step, with noise, as from a camera."""
    places, nodes = np.linspace(0, 7, SIDE), np.arange(8)
    coarse = random.uniform(GRAIN, 255 - GRAIN, (8, 8, 3))
    wide = np.apply_along_axis(lambda line: np.interp(places, nodes, line), 0, coarse)
    scene = np.apply_along_axis(lambda line: np.interp(places, nodes, line), 1, wide)
    drift = np.stack([np.roll(scene, step, axis=1) for step in range(STEPS)])
    return (drift + random.integers(-GRAIN, GRAIN + 1, drift.shape)).astype(np.uint8)
