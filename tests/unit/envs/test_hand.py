"""What environments say of their hands, against what their pictures show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ramp.envs import EnvConfig, label, make_env, make_expert
from ramp.envs.hand import HasHand
from ramp.interfaces import Env

COUNTING = EnvConfig(suite="counting", cameras=("top",), image_size=32, max_steps=40)
METAWORLD = EnvConfig(image_size=96, max_steps=150)


def play(env: Env, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Proprioception [T, P] and the first camera's pictures of an expert's episode."""
    expert, now = make_expert(env), env.reset(seed)
    proprio, pictures = [], []
    while not (now.success or now.truncated):
        proprio.append(now.proprio)
        pictures.append(env.render()[min(env.schema.cameras)])
        now = env.step(expert.act())
    return np.stack(proprio), pictures


def test_the_counting_worlds_hand_is_where_the_bar_ends() -> None:
    env = make_env("count-down", COUNTING)
    proprio, pictures = play(env, 5)
    found = label(env, proprio)
    assert found is not None
    assert set(found.subgoal) == {"reach to count down"}
    for picture, (x, y) in zip(pictures, found.hand, strict=True):
        lit = picture[4:, :, 0] == 255
        column, rows = lit.any(axis=0).sum(), np.flatnonzero(lit.any(axis=1)) + 4
        assert x == pytest.approx(2 * column / 32 - 1, abs=1 / 32 + 1e-6)
        assert not len(rows) or y == pytest.approx((rows[0] + rows[-1] + 1) / 32 - 1)


def test_meta_worlds_hand_is_tracked_in_the_first_view_and_its_phases_follow_the_gripper() -> None:
    env = make_env("hammer-v3", METAWORLD)
    proprio, _ = play(env, 3)
    found = label(env, proprio)
    env.close()
    assert found is not None
    phases = list(dict.fromkeys(text.split()[0] for text in found.subgoal))
    assert phases[:3] == ["reach", "grasp", "move"]
    assert {text.partition(" ")[2] for text in found.subgoal} == {f"to {env.instruction}"}
    assert np.abs(found.hand).max() < 1.0  # the close views keep the hand inside
    assert np.ptp(found.hand, axis=0).max() > 0.2


def test_a_camera_whose_pose_nobody_knows_gives_text_alone() -> None:
    env = make_env("reach-v3", replace(METAWORLD, cameras=("corner",), image_size=16))
    found = label(env, np.tile(env.reset(0).proprio, (5, 1)))
    env.close()
    assert found is not None
    assert all(found.subgoal)
    assert np.isnan(found.hand).all()


def test_an_environment_without_a_hand_has_no_labels() -> None:
    env = make_env("InvertedPendulum-v5", EnvConfig(suite="gymnasium", image_size=16, cameras=("free",)))
    assert not isinstance(env, HasHand)
    assert label(env, np.zeros((4, env.schema.proprio_width), np.float32)) is None
    env.close()
