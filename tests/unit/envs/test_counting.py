from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.envs import EnvConfig, make_env, make_expert
from ramp.envs.counting import CountingEnv, draw, read_action_step, read_camera, read_seed, read_step

CONFIG = EnvConfig(suite="counting", cameras=("a", "b"), image_size=16, max_steps=40)


def test_every_channel_says_which_step_of_which_seed_it_is() -> None:
    env = CountingEnv("count-up", CONFIG)
    expert = make_expert(env)
    now = env.reset(1_234_567)
    for step in range(CONFIG.max_steps):
        frames, action = env.render(), expert.act()
        assert now.proprio[:2].tolist() == [step, 1_234_567]
        assert [read_step(frame) for frame in frames.values()] == [step, step]
        assert [read_seed(frame) for frame in frames.values()] == [1_234_567, 1_234_567]
        assert [read_camera(frame) for frame in frames.values()] == [0, 1]
        assert read_action_step(action, CONFIG.max_steps) == step
        now = env.step(action)
    assert now.truncated


@given(
    step=st.integers(0, 4095),
    seed=st.integers(0, 2**24 - 1),
    needle=st.floats(-1, 1),
    camera=st.integers(0, 15),
    size=st.integers(16, 40),
)
def test_a_picture_holds_its_numbers_whatever_they_are(
    step: int, seed: int, needle: float, camera: int, size: int
) -> None:
    picture = draw(step, seed, needle, camera, size)
    assert (read_step(picture), read_seed(picture), read_camera(picture)) == (step, seed, camera)


def test_the_bar_grows_with_the_needle() -> None:
    lit = [int((draw(0, 0, needle, 0, 16)[8, :, 0] == 255).sum()) for needle in (-1.0, 0.0, 1.0)]
    assert lit == [0, 8, 16]


@pytest.mark.parametrize(("task", "thrust"), [("count-up", 1.0), ("count-down", -1.0)])
def test_a_constant_succeeds_within_the_limit(task: str, thrust: float) -> None:
    env = make_env(task, CONFIG)
    env.reset(7)
    steps = [env.step(np.array([thrust, 0], np.float32)).success for _ in range(15)]
    assert steps.index(True) in range(7, 13)  # a quarter of the limit, more or less, by where the needle started


@pytest.mark.parametrize("max_steps", [8, 40, 200, 400])
def test_the_expert_succeeds_and_the_opposite_never_does(max_steps: int) -> None:
    config = EnvConfig(suite="counting", image_size=16, max_steps=max_steps)
    env = make_env("count-up", config)
    expert = make_expert(env)
    env.reset(1)
    assert any(env.step(expert.act()).success for _ in range(max_steps))
    env.reset(1)
    assert not any(env.step(-expert.act().clip(-1, 1)).success for _ in range(max_steps))
