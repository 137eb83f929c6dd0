from __future__ import annotations

import gc

import numpy as np
import pytest

from ramp.envs import EnvConfig, make_env, make_expert
from ramp.envs.expert import MetaWorldExpert
from ramp.envs.instructions import INSTRUCTIONS
from ramp.envs.metaworld import TASKS, MetaWorldEnv
from ramp.envs.views import SAWYER, VIEWS
from ramp.errors import Invalid

CONFIG = EnvConfig(image_size=64, max_steps=200)


def play(env: MetaWorldEnv, seed: int, noise: float = 0.0) -> int | None:
    """Steps to the expert's success, or None."""
    expert, random = MetaWorldExpert(env), np.random.default_rng(seed)
    step = env.reset(seed)
    for taken in range(1, env.max_steps + 1):
        action = expert.act() + random.normal(0, noise, 4).astype(np.float32)
        step = env.step(np.clip(action, -1, 1))
        if step.success:
            return taken
    return None


@pytest.mark.parametrize(
    "task", ["reach-v3", "drawer-open-v3", "button-press-topdown-v3", "door-open-v3", "hammer-v3", "window-open-v3"]
)
def test_the_expert_succeeds_on_held_out_seeds(task: str) -> None:
    env = MetaWorldEnv(task, CONFIG)
    assert sum(play(env, seed) is not None for seed in range(1_000_000, 1_000_005)) >= 4
    env.close()


def test_the_expert_can_take_over_after_a_mess() -> None:
    env = MetaWorldEnv("drawer-open-v3", EnvConfig(max_steps=300))
    env.reset(3)
    for action in np.random.default_rng(0).uniform(-1, 1, (60, 4)).astype(np.float32):
        env.step(action)

    expert = make_expert(env)

    assert any(env.step(expert.act()).success for _ in range(200))
    env.close()


def test_the_expert_stays_within_the_bounds() -> None:
    env = MetaWorldEnv("hammer-v3", CONFIG)
    env.reset(0)
    action = MetaWorldExpert(env).act()
    assert action.dtype == np.float32
    assert action.shape == (4,)
    assert np.abs(action).max() <= 1
    env.close()


def test_proprioception_is_the_robots_own_and_says_nothing_of_the_object() -> None:
    """Where the hand starts in the same place, two seeds differ in pictures and in nothing else."""
    env = MetaWorldEnv("push-v3", CONFIG)
    first, picture = env.reset(1), env.render()["front"]
    second = env.reset(2)
    np.testing.assert_allclose(first.proprio, second.proprio, atol=1e-3)
    assert (env.render()["front"] != picture).any()
    env.close()


def test_opening_and_hand_follow_the_action() -> None:
    env = MetaWorldEnv("reach-v3", CONFIG)
    start = env.reset(0).proprio
    for _ in range(10):
        now = env.step(np.array([1, 0, 0, 1], np.float32)).proprio
    assert now[0] > start[0] + 0.03
    assert now[3] < start[3]  # the gripper closes
    env.close()


@pytest.mark.parametrize("view", sorted(VIEWS))
@pytest.mark.parametrize("task", ["reach-v3", "hammer-v3", "drawer-open-v3", "push-v3"])
def test_the_pictures_show_where_the_hand_is(task: str, view: str) -> None:
    env = MetaWorldEnv(task, EnvConfig(cameras=(view,)))
    env.reset(0)
    before = env.render()[view].astype(int)
    for _ in range(15):
        env.step(np.array([1, 1, 0, 0], np.float32))
    changed = (np.abs(env.render()[view] - before).max(axis=-1) > 20).sum()
    assert changed > 30  # of 4096
    env.close()


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_the_goal_of_reach_is_visible_from_many_starts(view: str) -> None:
    env = MetaWorldEnv("reach-v3", EnvConfig(cameras=(view,)))
    marks = []
    for seed in range(5):
        env.reset(seed)
        picture = env.render()[view].astype(int)
        bright = (picture[..., 0] > 180) & (picture[..., 1] < 60) & (picture[..., 2] < 60)  # the mark, not the arm
        marks.append(bright.sum())
    assert min(marks) >= 3
    env.close()


def test_a_camera_that_hangs_upside_down_is_turned() -> None:
    env = MetaWorldEnv("reach-v3", EnvConfig(cameras=("corner2",)))
    env.reset(0)
    picture = env.render()["corner2"].astype(int)
    table = (picture[..., 0] - picture[..., 2] > 15) & (picture[..., 1] - picture[..., 2] > 5)  # brown
    rows = np.flatnonzero(table.sum(axis=1) > 8)
    assert rows.mean() > 32  # the table lies below the robot
    env.close()


def test_the_limit_may_exceed_the_simulators_own() -> None:
    env = MetaWorldEnv("drawer-close-v3", EnvConfig(max_steps=510))
    env.reset(0)
    still = np.zeros(4, np.float32)
    assert [env.step(still).truncated for _ in range(510)][-2:] == [False, True]
    env.close()


def test_a_refused_action_costs_no_step() -> None:
    env = MetaWorldEnv("reach-v3", EnvConfig(max_steps=2))
    env.reset(0)
    for _ in range(3):
        with pytest.raises(Invalid):
            env.step(np.full(4, np.nan, np.float32))
    assert not env.step(np.zeros(4, np.float32)).truncated
    env.close()


def test_every_task_has_an_instruction_of_its_own() -> None:
    assert set(INSTRUCTIONS) == set(TASKS)
    assert len(set(INSTRUCTIONS.values())) == len(TASKS)


def test_several_environments_render_side_by_side() -> None:
    envs = [make_env(task, CONFIG) for task in ("reach-v3", "door-open-v3")]
    alone = []
    for env in envs:
        env.reset(1)
        alone.append(env.render()["side"])
    again = [env.render()["side"] for env in envs]
    assert all((one == two).all() for one, two in zip(alone, again, strict=True))
    for env in envs:
        env.close()


def test_an_environment_that_is_forgotten_spoils_no_other_ones_pictures() -> None:
    env = make_env("door-open-v3", CONFIG)
    env.reset(1)
    before = env.render()
    for task in ("reach-v3", "hammer-v3"):
        other = make_env(task, CONFIG)
        other.reset(1)
        other.render()
        env.render()  # its GL context is the current one when the other's is freed
        del other
        gc.collect()
    after = env.render()
    assert all((before[name] == after[name]).all() for name in before)
    env.close()


def test_the_free_view_is_the_same_beside_a_close_one() -> None:
    env = make_env("reach-v3", EnvConfig(cameras=("free", "front"), image_size=32))
    env.reset(1)
    first, second = env.render()["free"], env.render()["free"]
    env.close()
    assert (first == second).all()


def test_the_cameras_of_the_model_are_the_ones_that_are_listed() -> None:
    env = MetaWorldEnv("reach-v3", CONFIG)
    model = env._sim.model
    assert {model.camera(index).name for index in range(model.ncam)} == set(SAWYER)
    env.close()
