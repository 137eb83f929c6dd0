"""Settings of the simulated robot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Cameras and rhythm of a Meta-World task. Frames are rendered every `frame_stride` steps, where a decision or a
    training frame needs one; the world model's horizons must be multiples of it."""

    suite: str = "metaworld"  # or "counting", the test world
    cameras: tuple[str, ...] = ("topview", "corner3")
    image_size: int = 64
    frame_stride: int = 4
    max_steps: int = 200
