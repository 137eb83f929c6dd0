"""The test world: every picture, every proprioception and every expert action says which step of which seed it is.

A needle starts near the middle. `count-up` succeeds once it stands at +1, `count-down` at -1; action[0] moves it, at
full thrust within a quarter of the time limit. action[1] moves nothing: the expert writes the step number into it.
A policy that heeds the instruction and outputs a constant succeeds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ramp.envs.checks import check_running, checked_action, checked_seed, unknown
from ramp.envs.config import EnvConfig
from ramp.envs.hand import Hand
from ramp.types import EnvStep, StepSchema

TASKS: Mapping[str, tuple[str, float]] = {
    "count-up": ("count up", 1.0),
    "count-down": ("count down", -1.0),
}
SEED_BITS = 24  # float32 holds these exactly; larger seeds are shown modulo 2**24
STEP_BITS = 12
BAR_TOP = 4  # first row of the bar, which ends with the picture
BAR_DEPTH, BACKGROUND_DEPTH = 192, 64  # nearer is brighter (ramp/envs/depth.py)
START = 0.2  # the needle starts within this distance of the middle


class CountingEnv:
    """The test world (ramp.interfaces.Env). proprio: step, seed modulo 2**24, needle in [-1, 1].

    Example: env = CountingEnv("count-up", EnvConfig(suite="counting", max_steps=40)); env.reset(seed=7)
    """

    control_hz = 10.0

    def __init__(self, task: str, config: EnvConfig) -> None:
        """Raises Invalid for an unknown task."""
        if task not in TASKS:
            raise unknown("task", task, TASKS)
        self.task = task
        self.instruction, self.goal = TASKS[task]
        self.max_steps = config.max_steps
        self._size, self._depth = config.image_size, config.depth
        self.schema = StepSchema(
            cameras=dict.fromkeys(config.cameras, config.frame),
            proprio_width=3,
            action_low=(-1.0, -1.0),
            action_high=(1.0, 1.0),
        )
        self._speed = max(4.0 / config.max_steps, 0.02)
        self._seed = 0
        self._needle = 0.0
        self._taken: int | None = None

    def reset(self, seed: int) -> EnvStep:
        """Begin the episode that `seed` alone determines. Raises Invalid for a negative or fractional seed."""
        self._seed = checked_seed(seed)
        self._needle = float(np.random.default_rng(self._seed).uniform(-START, START))
        self._taken = 0
        return self._step()

    def step(self, action: np.ndarray) -> EnvStep:
        """Execute float32 [2]: thrust, and a number that is ignored. Raises Invalid."""
        action = checked_action(action, self.schema)
        check_running(self._taken, self.max_steps)
        self._needle = float(np.clip(self._needle + self._speed * float(action[0]), -1.0, 1.0))
        self._taken = self.count + 1
        return self._step()

    @property
    def count(self) -> int:
        """Steps taken in this episode. Raises Invalid before the first reset."""
        check_running(-1 if self._taken is not None else None, self.max_steps)
        return self._taken or 0

    def _step(self) -> EnvStep:
        proprio = np.array([self.count, self._seed % 2**SEED_BITS, self._needle], dtype=np.float32)
        return EnvStep(proprio=proprio, success=self._needle == self.goal, truncated=self.count >= self.max_steps)

    def render(self) -> dict[str, np.ndarray]:
        """camera -> uint8 [size, size, 3], with depth [size, size, 4]. Raises Invalid before the first reset."""
        names = list(self.schema.cameras)
        frames = [draw(self.count, self._seed, self._needle, index, self._size) for index in range(len(names))]
        return dict(zip(names, [with_depth(frame) for frame in frames] if self._depth else frames, strict=True))

    def hand(self, proprio: np.ndarray) -> Hand:
        """The needle's tip, which every camera sees at the end of the bar; there is no gripper."""
        needle = proprio[:, 2].astype(np.float64)
        position = np.stack([needle, np.zeros_like(needle), np.zeros_like(needle)], axis=1)
        return Hand(position=position, opening=np.zeros_like(needle), project=self._project)

    def _project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The middle of the bar's end, one metre before the camera."""
        middle = np.full(len(points), BAR_TOP / self._size)
        return np.stack([points[:, 0], middle], axis=1), np.ones(len(points))

    def close(self) -> None: ...


class CountingExpert:
    """Moves the needle to its goal and writes the step number into action[1] (ramp.interfaces.Expert)."""

    def __init__(self, env: CountingEnv) -> None:
        self._env = env

    def act(self) -> np.ndarray:
        """float32 [2]; `read_action_step` recovers the step number."""
        return np.array([self._env.goal, 2.0 * self._env.count / self._env.max_steps - 1.0], dtype=np.float32)


def read_action_step(action: np.ndarray, max_steps: int) -> int:
    """The step number that the expert wrote into its action [2]."""
    return round((float(action[1]) + 1.0) / 2.0 * max_steps)


def draw(step: int, seed: int, needle: float, camera: int, size: int) -> np.ndarray:
    """uint8 [size, size, 3], size >= 16: rows 0-2 carry bits (red step, green seed, blue camera), below them a bar
    as long as the needle is far, in a colour of its own for every camera."""
    picture = np.full((size, size, 3), 32, dtype=np.uint8)
    picture[:3] = 0
    write_bits(picture, 0, step, STEP_BITS)
    write_bits(picture, 1, seed % 2**SEED_BITS, SEED_BITS)
    write_bits(picture, 2, camera, 4)
    picture[BAR_TOP:, : round((needle + 1.0) / 2.0 * size), camera % 3] = 255
    return picture


def with_depth(picture: np.ndarray) -> np.ndarray:
    """uint8 [size, size, 4]: the bar of a picture by `draw` stands before everything else."""
    bar = (picture == 255).any(axis=-1, keepdims=True)
    bar[:4] = False
    return np.concatenate([picture, np.where(bar, BAR_DEPTH, BACKGROUND_DEPTH).astype(np.uint8)], axis=-1)


def write_bits(picture: np.ndarray, channel: int, number: int, bits: int) -> None:
    """Lowest bit first, twelve a row, so that 16 columns are enough."""
    for bit in range(bits):
        picture[bit // 12, bit % 12, channel] = 255 * (number >> bit & 1)


def read_bits(picture: np.ndarray, channel: int, bits: int) -> int:
    return sum(int(picture[bit // 12, bit % 12, channel] > 127) << bit for bit in range(bits))


def read_step(picture: np.ndarray) -> int:
    """The step number in a picture of this world (modulo 4096)."""
    return read_bits(picture, 0, STEP_BITS)


def read_seed(picture: np.ndarray) -> int:
    """The seed in a picture of this world, modulo 2**24."""
    return read_bits(picture, 1, SEED_BITS)


def read_camera(picture: np.ndarray) -> int:
    """Which of the schema's cameras drew a picture of this world."""
    return read_bits(picture, 2, 4)
