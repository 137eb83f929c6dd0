from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.advantage import BoundaryConfig, boundary_mask, segment_ends
from ramp.advantage.interventions import action_jumps, boundaries, idle_artefacts, jump_artefacts, robust_z
from ramp.types import Source

P, H, D = Source.POLICY, Source.HUMAN, Source.DEMO


def sources(*runs: tuple[int, int]) -> np.ndarray:
    return np.concatenate([np.full(count, source, np.uint8) for source, count in runs])


def smooth(length: int, seed: int = 0) -> np.ndarray:
    """float32 [T, 4]: a steady motion with a small tremor."""
    tremor = np.random.default_rng(seed).normal(0, 0.02, (length, 4))
    return (np.array([0.5, 0.3, 0.0, 0.2]) + tremor).astype(np.float32)


TAKEOVER = sources((P, 30), (H, 20), (P, 30))


def test_boundaries_are_where_somebody_else_begins() -> None:
    assert boundaries(TAKEOVER).tolist() == [30, 50]
    assert boundaries(sources((D, 9))).tolist() == []
    assert boundaries(np.zeros(0, np.uint8)).tolist() == []


def test_an_episode_with_one_actor_is_trainable_throughout() -> None:
    wild = np.random.default_rng(0).uniform(-1, 1, (40, 4))
    for source in (P, D, H):
        assert boundary_mask(wild, sources((source, 40))).all()


def test_a_smooth_takeover_loses_nothing() -> None:
    assert boundary_mask(smooth(80), TAKEOVER).all()


def test_both_sides_of_an_unusual_jump_at_a_boundary_are_left_out() -> None:
    action = smooth(80)
    action[30:50] += 0.6
    assert np.flatnonzero(~boundary_mask(action, TAKEOVER)).tolist() == [29, 30, 49, 50]


def test_a_jump_far_from_any_boundary_is_the_actors_own_business() -> None:
    action = smooth(80)
    action[15] += 0.9
    action[65] -= 0.9
    assert boundary_mask(action, TAKEOVER).all()


@pytest.mark.parametrize(("at", "kept"), [(25, True), (26, False), (33, False), (34, True)])
def test_the_window_ends_where_its_threshold_says(at: int, kept: bool) -> None:
    action = smooth(80)
    action[at:] += 0.6
    assert boundary_mask(action, TAKEOVER, BoundaryConfig(window=4))[at] == kept


def test_what_is_usual_is_learnt_from_the_episode() -> None:
    """Where every action jumps, a jump at the boundary is nothing unusual."""
    wild = np.random.default_rng(0).uniform(-1, 1, (80, 4)).astype(np.float32)
    assert boundary_mask(wild, TAKEOVER).mean() > 0.95


def test_idle_steps_while_a_person_takes_hold_or_lets_go_are_left_out() -> None:
    action = smooth(80)
    action[30:36] = 0.0
    action[47:50] = 0.001
    assert np.flatnonzero(idle_artefacts(action, TAKEOVER)).tolist() == [*range(30, 36), 47, 48, 49]


def test_a_pause_inside_a_persons_segment_is_kept() -> None:
    action = smooth(80)
    action[38:42] = 0.0
    assert not idle_artefacts(action, TAKEOVER).any()


def test_a_policy_that_idles_is_not_excused() -> None:
    action = smooth(80)
    action[20:30] = 0.0
    assert not idle_artefacts(action, TAKEOVER).any()


def test_idling_is_bounded() -> None:
    action = smooth(80)
    action[30:50] = 0.0
    assert idle_artefacts(action, TAKEOVER, BoundaryConfig(idle_steps=5)).sum() == 10  # five at either edge


def test_a_closed_gripper_does_not_hide_that_the_arm_idles() -> None:
    action = smooth(80)
    action[:, 3] = 1.0
    action[30:36, :3] = 0.0
    assert not idle_artefacts(action, TAKEOVER).any()
    assert idle_artefacts(action, TAKEOVER, BoundaryConfig(motion_width=3)).sum() == 6


def test_jumps_and_their_scores_by_hand() -> None:
    np.testing.assert_allclose(action_jumps(np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])), [0, 5, 0])
    np.testing.assert_allclose(robust_z(np.array([2.0, 1.0]), np.array([1.0, 1.0, 1.0]), 0.5), [2, 0])
    np.testing.assert_allclose(robust_z(np.array([5.0]), np.array([0.0, 1.0, 2.0]), 0.0), [4 / 1.4826])
    assert robust_z(np.array([9.0]), np.zeros(0), 0.1).tolist() == [0.0]


def test_a_jump_on_the_threshold_is_kept_and_one_above_it_is_not() -> None:
    source, action = sources((P, 30), (H, 30)), np.zeros((60, 1))
    config = BoundaryConfig(jump_z=4.0, min_scale=0.05)
    action[30:] = 0.19
    assert not jump_artefacts(action, source, config).any()
    action[30:] = 0.21
    assert np.flatnonzero(jump_artefacts(action, source, config)).tolist() == [29, 30]


@given(st.lists(st.sampled_from([P, H]), max_size=12), st.integers(0, 50))
def test_any_pattern_of_takeovers_gives_one_answer_per_step(pattern: list[Source], seed: int) -> None:
    source = np.array(pattern, np.uint8)
    action = np.random.default_rng(seed).uniform(-1, 1, (len(source), 2)).astype(np.float32)
    mask = boundary_mask(action, source)
    assert mask.shape == source.shape
    assert mask.dtype == bool


def test_a_segment_ends_where_somebody_else_begins_and_does_not_resume() -> None:
    assert segment_ends(sources((P, 4), (H, 3), (P, 2))).tolist() == [4] * 4 + [7] * 3 + [9] * 2
    assert segment_ends(sources((P, 2), (H, 1), (P, 1))).tolist() == [2, 2, 3, 4]
    assert segment_ends(np.zeros(0, np.uint8)).tolist() == []
