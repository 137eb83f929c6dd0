from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from ramp.envs.gymnasium import GymnasiumEnv, reported_success
from ramp.errors import Invalid


class Toy(gymnasium.Env[np.ndarray, np.ndarray]):
    """Ends by itself after three steps; succeeds where the last action was above a half."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012
    action_space: gymnasium.Space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    observation_space = gymnasium.spaces.Box(-1.0, 1.0, (2, 2), np.float32)
    render_mode: str | None = "rgb_array"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        self.count = 0
        return np.full((2, 2), (seed or 0) / 10, np.float32), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        self.count += 1
        success = bool(action[0] > 0.5)
        return np.zeros((2, 2), np.float32), 0.0, self.count == 3, False, {"is_success": success}

    def render(self) -> np.ndarray:
        return np.zeros((8, 9, 3), np.uint8)


def toy(**changes: Any) -> GymnasiumEnv:
    env = Toy()
    for name, value in changes.items():
        setattr(env, name, value)
    return GymnasiumEnv(env, task="toy", instruction="do it", max_steps=10)


def test_the_schema_comes_from_the_environment() -> None:
    env = toy()
    assert dict(env.schema.cameras) == {"free": (8, 9, 3)}
    assert env.schema.proprio_width == 4
    assert (env.schema.action_low, env.schema.action_high, env.control_hz) == ((-1.0,), (1.0,), 20.0)
    assert env.reset(5).proprio.tolist() == [0.5] * 4


def test_an_episode_that_ends_by_itself_is_truncated_and_over() -> None:
    env = toy()
    env.reset(0)
    assert [env.step(np.zeros(1, np.float32)).truncated for _ in range(3)] == [False, False, True]
    with pytest.raises(Invalid, match="call reset"):
        env.step(np.zeros(1, np.float32))


def test_success_is_what_the_environment_reports() -> None:
    env = toy()
    env.reset(0)
    assert not env.step(np.array([0.4], np.float32)).success
    assert env.step(np.array([0.6], np.float32)).success
    assert reported_success({"success": 1.0}, 0.0, False)
    assert not reported_success({}, 1.0, True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action_space": gymnasium.spaces.Discrete(3)}, "action_space"),
        ({"action_space": gymnasium.spaces.Box(-np.inf, np.inf, (2,))}, "action_space"),
        ({"action_space": gymnasium.spaces.Box(-1, 1, (2, 2))}, "action_space"),
        ({"render_mode": None}, "render_mode"),
    ],
)
def test_an_environment_that_does_not_fit_is_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid, match=field):
        toy(**changes)
