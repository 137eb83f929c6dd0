"""Settings of the simulated robot."""

from __future__ import annotations

from dataclasses import dataclass

from ramp.errors import Invalid
from ramp.types import Encoding

SUITES = ("metaworld", "counting", "gymnasium")


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """Cameras and rhythm of a task. Frames are rendered every `frame_stride` steps, where a decision or a
    training frame needs one; the world model's horizons must be multiples of it."""

    suite: str = "metaworld"  # "counting" is the test world, "gymnasium" any registered Box-action environment
    cameras: tuple[str, ...] = ("front", "side")  # views of ramp/envs/rendering.py or the simulator model's own
    image_size: int = 64  # pixels, width and height of every camera frame
    depth: bool = False  # frames have a fourth channel, inverse depth (ramp/envs/depth.py); the policy alone sees it
    image_encoding: str = "raw"  # how frames are stored: raw; png, which loses nothing; jpeg, a tenth of the bytes
    jpeg_quality: int = 90  # of frames stored as jpeg, 1 to 100
    frame_stride: int = 4  # steps from one rendered frame to the next
    max_steps: int = 200  # T_max; Meta-World's own limit is 500

    @property
    def frame(self) -> tuple[int, int, int]:
        """Height, width and channels of every camera frame."""
        return self.image_size, self.image_size, 4 if self.depth else 3

    def __post_init__(self) -> None:
        if self.suite not in SUITES:
            raise Invalid("env.suite", self.suite, f"choose one of {', '.join(SUITES)}")
        if not self.cameras or len(set(self.cameras)) != len(self.cameras):
            raise Invalid("env.cameras", self.cameras, "name at least one camera, each once")
        if not 16 <= self.image_size <= 480:
            raise Invalid("env.image_size", self.image_size, "choose between 16 and 480 pixels")
        if self.image_encoding not in list(Encoding):
            raise Invalid("env.image_encoding", self.image_encoding, f"choose one of {', '.join(Encoding)}")
        if self.depth and self.image_encoding == Encoding.JPEG:
            raise Invalid("env.image_encoding", "jpeg", "use png or raw with env.depth: a JPEG has no place for depth")
        if self.frame_stride < 1:
            raise Invalid("env.frame_stride", self.frame_stride, "choose at least 1")
        if self.max_steps < 1:
            raise Invalid("env.max_steps", self.max_steps, "choose at least 1")
