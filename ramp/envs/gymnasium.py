"""Any Gymnasium environment with a Box action and `rgb_array` pictures as one of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from ramp.envs.checks import check_running, checked_action, checked_seed, unknown
from ramp.envs.config import EnvConfig
from ramp.envs.rendering import Cameras
from ramp.envs.views import FREE
from ramp.errors import Invalid
from ramp.types import EnvStep, StepSchema

Success = Callable[[Mapping[str, Any], float, bool], bool]


def reported_success(info: Mapping[str, Any], reward: float, terminated: bool) -> bool:
    """What Gymnasium's robot environments report, under either of its two usual names."""
    return bool(info.get("is_success", info.get("success", False)))


class GymnasiumEnv:
    """Adapter (ramp.interfaces.Env). Proprioception is the environment's whole observation, flattened: wrap the
    environment first where that holds more than the robot's own state. An episode also ends where the environment
    terminates it.

    Example: GymnasiumEnv(gymnasium.make("Reacher-v5", render_mode="rgb_array"), task="reacher",
                          instruction="touch the mark", max_steps=50)
    """

    def __init__(
        self,
        env: gymnasium.Env,
        *,
        task: str,
        instruction: str,
        max_steps: int,
        cameras: Sequence[str] = (FREE,),
        image_size: int = 64,
        depth: bool = False,
        success: Success = reported_success,
    ) -> None:
        """`image_size` is heeded by MuJoCo's environments, which alone have `depth`. Raises Invalid where the action is
        no bounded vector or pictures are not to be had."""
        space = env.action_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1 or not space.is_bounded():
            raise Invalid("action_space", space, "wrap the environment so that it takes a bounded vector")
        if env.render_mode != "rgb_array":
            raise Invalid("render_mode", env.render_mode, 'make the environment with render_mode="rgb_array"')
        self.task, self.instruction, self.max_steps = task, instruction, max_steps
        self._env, self._success = env, success
        self._paint = painter(env, cameras, image_size, depth=depth)
        self._taken: int | None = None
        self._ended = False
        proprio, _ = env.reset(seed=0)
        self.control_hz = float(env.metadata.get("render_fps") or 30.0)
        self.schema = StepSchema(
            cameras={name: picture.shape for name, picture in self._paint().items()},
            proprio_width=flat(proprio).size,
            action_low=tuple(float(x) for x in space.low),
            action_high=tuple(float(x) for x in space.high),
        )

    def reset(self, seed: int) -> EnvStep:
        """Begin the episode that `seed` alone determines. Raises Invalid for a negative or fractional seed."""
        observation, _ = self._env.reset(seed=checked_seed(seed))
        self._taken, self._ended = 0, False
        return EnvStep(proprio=flat(observation), success=False, truncated=False)

    def step(self, action: np.ndarray) -> EnvStep:
        """Execute float32 [A]. Raises Invalid."""
        action = checked_action(action, self.schema)
        check_running(self._taken, self._taken or 0 if self._ended else self.max_steps)
        observation, reward, terminated, truncated, info = self._env.step(action)
        self._taken = (self._taken or 0) + 1
        self._ended = terminated or truncated or self._taken >= self.max_steps
        success = self._success(info, float(reward), terminated)
        return EnvStep(proprio=flat(observation), success=success, truncated=self._ended)

    def render(self) -> dict[str, np.ndarray]:
        """camera -> uint8 [height, width, 3 or 4]. Raises Invalid before the first reset."""
        check_running(-1 if self._taken is not None else None, self.max_steps)
        return self._paint()

    def close(self) -> None:
        self._env.close()


def painter(env: gymnasium.Env, names: Sequence[str], size: int, *, depth: bool) -> Callable[[], dict[str, np.ndarray]]:
    """What draws the environment: our own renderer for MuJoCo's, whose cameras may be named; the environment itself for
    all others, in the size it likes. Gymnasium's MuJoCo renderer is no use where a process holds two environments:
    they draw into each other's GL context."""
    if isinstance(env.unwrapped, MujocoEnv):
        simulator, cameras = env.unwrapped, Cameras(env.unwrapped.model, names, size, depth=depth)
        return lambda: cameras.frames(simulator.data)
    if depth:
        raise Invalid("env.depth", True, "use false: of Gymnasium's environments only MuJoCo's have depth")
    if len(names) != 1:
        raise Invalid("env.cameras", tuple(names), "name one camera: this environment draws one picture")
    return lambda: {names[0]: np.array(env.render(), dtype=np.uint8)}


def flat(observation: Any) -> np.ndarray:
    """float32 [P]."""
    return np.asarray(observation, dtype=np.float32).ravel()


def make_gymnasium(task: str, config: EnvConfig) -> GymnasiumEnv:
    """A registered environment by its Gymnasium id. Raises Invalid for an unknown one."""
    if task not in gymnasium.registry:
        raise unknown("task", task, gymnasium.registry)
    env = gymnasium.make(task, render_mode="rgb_array")
    words = task.split("/")[-1].rsplit("-v", 1)[0].lower().replace("-", " ")
    return GymnasiumEnv(
        env,
        task=task,
        instruction=words,
        max_steps=config.max_steps,
        cameras=config.cameras,
        image_size=config.image_size,
        depth=config.depth,
    )
