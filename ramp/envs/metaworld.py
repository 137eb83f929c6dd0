"""Meta-World's tasks as environments: a simulated Sawyer arm that is told what to do and sees itself and pictures.

Meta-World's classes are Gymnasium environments; this adapter takes proprioception from their observation, success from
their info, and draws its own pictures. The rest of the observation is object state, which only the scripted expert
may read. Meta-World ends no episode; here success is that of the present step, and whoever collects ends at it.
"""

from __future__ import annotations

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from ramp.envs.checks import check_running, checked_action, checked_seed, unknown
from ramp.envs.config import EnvConfig
from ramp.envs.hand import Hand
from ramp.envs.instructions import INSTRUCTIONS
from ramp.envs.projection import pinhole
from ramp.envs.rendering import Cameras
from ramp.envs.views import VIEWS
from ramp.types import EnvStep, StepSchema

PROPRIO_WIDTH = 4  # end-effector x, y, z in metres and gripper opening in [0, 1]
ACTION_WIDTH = 4  # hand displacement x, y, z and gripper effort
MARKER_RADIUS = 0.03  # metres; Meta-World's goal marks cover one pixel of a small picture

TASKS = tuple(sorted(ALL_V3_ENVIRONMENTS))


class MetaWorldEnv:
    """One Meta-World task (ramp.interfaces.Env). The seed alone fixes where object and goal lie.

    Example: env = MetaWorldEnv("drawer-open-v3", EnvConfig()); env.reset(seed=7); frames = env.render()
    """

    def __init__(self, task: str, config: EnvConfig) -> None:
        """Raises Invalid for an unknown task or camera."""
        if task not in ALL_V3_ENVIRONMENTS:
            raise unknown("task", task, TASKS)
        self.task = task
        self.instruction = INSTRUCTIONS[task]
        self.max_steps = config.max_steps
        self._sim = build_simulator(task)
        self._sim.max_path_length = config.max_steps + 1  # the limit is kept here; theirs would raise at the last step
        self.control_hz = 1.0 / self._sim.dt
        self._cameras = Cameras(self._sim.model, config.cameras, config.image_size, depth=config.depth)
        self.schema = StepSchema(
            cameras=dict.fromkeys(config.cameras, config.frame),
            proprio_width=PROPRIO_WIDTH,
            action_low=(-1.0,) * ACTION_WIDTH,
            action_high=(1.0,) * ACTION_WIDTH,
        )
        self._state = np.zeros(0)
        self._taken: int | None = None

    def reset(self, seed: int) -> EnvStep:
        """Begin the episode that `seed` alone determines. Raises Invalid for a negative or fractional seed."""
        self._sim.seed(checked_seed(seed))
        self._state, _ = self._sim.reset()
        mujoco.mj_forward(self._sim.model, self._sim.data)
        self._taken = 0
        return self._step(success=False)

    def step(self, action: np.ndarray) -> EnvStep:
        """Execute float32 [4]: hand displacement (1 is a centimetre per step) and gripper effort. Raises Invalid."""
        action = checked_action(action, self.schema)
        check_running(self._taken, self.max_steps)
        self._state, _, _, _, info = self._sim.step(action)
        self._taken = (self._taken or 0) + 1
        return self._step(success=bool(info["success"]))

    def _step(self, *, success: bool) -> EnvStep:
        proprio = self._state[:PROPRIO_WIDTH].astype(np.float32)
        return EnvStep(proprio=proprio, success=success, truncated=(self._taken or 0) >= self.max_steps)

    def render(self) -> dict[str, np.ndarray]:
        """camera -> uint8 [size, size, channels]. Raises Invalid before the first reset and where nothing can draw."""
        check_running(-1 if self._taken is not None else None, self.max_steps)
        for name, position in self._sim._target_site_config:  # physics moves the goal's mark back to its default
            self._sim._set_pos_site(name, position)
        return self._cameras.frames(self._sim.data)

    def hand(self, proprio: np.ndarray) -> Hand:
        """The end effector, as the first of the schema's cameras with a known view sees it (in alphabetic order)."""
        known = [VIEWS[camera] for camera in sorted(self.schema.cameras) if camera in VIEWS]
        project = pinhole(known[0]).project if known else None
        return Hand(position=proprio[:, :3].astype(np.float64), opening=proprio[:, 3], project=project)

    def expert_state(self) -> np.ndarray:
        """float64 [39], Meta-World's full observation with object and goal. For the scripted expert only."""
        check_running(-1 if self._taken is not None else None, self.max_steps)
        return self._state.copy()

    def close(self) -> None:
        self._cameras.close()
        self._sim.close()


def build_simulator(task: str) -> SawyerXYZEnv:
    """Meta-World's environment with its reset driven by the seed and its goal marks large enough to be seen."""
    sim = ALL_V3_ENVIRONMENTS[task]()
    sim._partially_observable = False  # the expert sees the goal ...
    sim.__dict__.pop("sawyer_observation_space", None)  # ... which the cached space would clip to zero
    sim._freeze_rand_vec = False  # every reset draws anew ...
    sim.seeded_rand_vec = True  # ... from the generator that seed() sets
    sim._set_task_called = True
    for index in range(sim.model.nsite):
        if sim.model.site(index).name.startswith("goal"):
            sim.model.site_size[index] = np.maximum(sim.model.site_size[index], MARKER_RADIUS)
    return sim
