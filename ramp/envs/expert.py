"""Meta-World's scripted experts: the person of the simulated fleet. They alone may see object state."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from metaworld.policies import ENV_POLICY_MAP
from metaworld.policies.policy import Policy

from ramp.envs.metaworld import MetaWorldEnv

warnings.filterwarnings("ignore", message="Constant\\(s\\) may be too high")  # one warning a step; clipped below

POLICIES: Mapping[str, Callable[[], Policy]] = ENV_POLICY_MAP


class MetaWorldExpert:
    """The scripted policy of the task (ramp.interfaces.Expert). It decides from the present state alone, so it can
    take over at any moment; it adds no noise.

    Example: expert = MetaWorldExpert(env); env.reset(seed=7); env.step(expert.act())
    """

    def __init__(self, env: MetaWorldEnv) -> None:
        self._env = env
        self._policy = POLICIES[env.task]()
        self._low = np.asarray(env.schema.action_low, np.float32)
        self._high = np.asarray(env.schema.action_high, np.float32)

    def act(self) -> np.ndarray:
        """float32 [4] within the bounds of the action."""
        action = np.asarray(self._policy.get_action(self._env.expert_state()), dtype=np.float32)
        return np.clip(action, self._low, self._high)
