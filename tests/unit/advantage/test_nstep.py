"""Eq. 8 against cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.advantage import n_step_advantage
from ramp.data.transforms import remaining_time
from ramp.errors import Invalid

LIMIT = 100


def minus_one(length: int) -> np.ndarray:
    return np.full(length, -1.0, np.float32)


@given(
    length=st.integers(1, LIMIT),
    stride=st.integers(1, 7),
    n=st.integers(1, 150),
    success=st.booleans(),
    penalty=st.floats(0.0, 0.4),
)
def test_a_value_that_memorises_its_episode_has_no_advantage_anywhere(
    length: int, stride: int, n: int, success: bool, penalty: float
) -> None:
    """With gamma 1 the sum telescopes. The limit is doubled so that no failure's label is clipped."""
    limit, frames = 2 * LIMIT, np.arange(0, length, stride)
    whole = np.full(len(frames), length)
    remaining = remaining_time(frames, whole, np.full(len(frames), limit), np.full(len(frames), success), penalty)

    advantage = n_step_advantage(
        remaining,
        frames,
        minus_one(length),
        max_steps=limit,
        success=success,
        n=n,
        failure_penalty=penalty,
    )

    np.testing.assert_allclose(advantage, 0.0, atol=1e-6)


def test_two_states_whose_advantage_is_known() -> None:
    """In the near state success takes 2 more steps, in the far one 10. The good action goes from far to near in one
    step, the bad one stays far: A = -1 - 2 + 10 = 7 and -1 - 10 + 10 = -1 steps."""
    far, near = 10 / LIMIT, 2 / LIMIT
    remaining = np.array([far, far, near, near / 2])  # bad, good, then two steps to success

    advantage = n_step_advantage(remaining, np.arange(4), minus_one(4), max_steps=LIMIT, success=True, n=1)

    np.testing.assert_allclose(advantage * LIMIT, [-1, 7, 0, 0], atol=1e-5)


def test_success_sooner_than_expected_is_good_and_later_is_bad() -> None:
    expected = np.full(1, 0.3)
    quick = n_step_advantage(expected, np.array([0]), minus_one(10), max_steps=LIMIT, success=True, n=48)
    slow = n_step_advantage(expected, np.array([0]), minus_one(45), max_steps=LIMIT, success=True, n=48)
    np.testing.assert_allclose([quick[0], slow[0]], [0.2, -0.15], atol=1e-6)


@pytest.mark.parametrize(("success", "end"), [(True, 0.0), (False, -0.5)])
def test_beyond_the_end_the_truth_stands_in_for_the_value(success: bool, end: float) -> None:
    found = n_step_advantage(
        np.array([0.3, 0.2]),
        np.array([0, 4]),
        minus_one(6),
        max_steps=LIMIT,
        success=success,
        n=6,
        failure_penalty=0.5,
    )
    np.testing.assert_allclose(found, [-0.06 + end + 0.3, -0.02 + end + 0.2], atol=1e-6)


def test_between_frames_the_last_one_within_reach_is_used_and_at_least_the_next() -> None:
    remaining, frames = np.array([0.5, 0.4, 0.1]), np.array([0, 4, 8])
    reach = {
        n: n_step_advantage(remaining, frames, minus_one(20), max_steps=LIMIT, success=True, n=n)[0]
        for n in (1, 4, 7, 8)
    }
    to_second, to_third = -0.04 - 0.4 + 0.5, -0.08 - 0.1 + 0.5
    np.testing.assert_allclose([reach[1], reach[4], reach[7], reach[8]], [to_second] * 3 + [to_third], atol=1e-6)


def test_without_a_further_frame_the_end_is_used() -> None:
    found = n_step_advantage(np.array([0.5]), np.array([0]), minus_one(20), max_steps=LIMIT, success=True, n=3)
    np.testing.assert_allclose(found, [-0.2 + 0.5], atol=1e-6)


@given(
    length=st.integers(1, 60),
    stride=st.integers(1, 5),
    n=st.integers(1, 80),
    gamma=st.floats(0.5, 1.0),
    success=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_it_agrees_with_the_sum_written_out(
    length: int, stride: int, n: int, gamma: float, success: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    frames, reward = np.arange(0, length, stride), random.normal(size=length).astype(np.float32)
    remaining = random.uniform(size=len(frames))
    at = dict(zip(frames.tolist(), remaining.tolist(), strict=True))

    def slow(t: int) -> float:
        end = t + n
        if end < length:
            end = max([f for f in at if t < f <= end] or [min([f for f in at if f > t], default=length)])
        else:
            end = length
        future = -at[end] if end < length else (0.0 if success else -1.0)
        return sum(gamma**k * reward[t + k] / LIMIT for k in range(end - t)) + gamma ** (end - t) * future + at[t]

    found = n_step_advantage(remaining, frames, reward, max_steps=LIMIT, success=success, n=n, gamma=gamma)
    np.testing.assert_allclose(found, [slow(t) for t in frames.tolist()], atol=1e-5)


def test_an_unknown_value_gives_an_unknown_advantage_to_those_that_need_it() -> None:
    found = n_step_advantage(
        np.array([0.5, np.nan, 0.3]), np.arange(3), minus_one(9), max_steps=LIMIT, success=True, n=1
    )
    assert np.isnan(found).tolist() == [True, True, False]


def test_an_episode_without_frames_has_no_advantages() -> None:
    found = n_step_advantage(np.zeros(0), np.zeros(0, int), minus_one(5), max_steps=LIMIT, success=True, n=4)
    assert found.shape == (0,)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("n_steps", {"n": 0}),
        ("remaining", {"remaining": np.zeros(3)}),
        ("frame_step", {"frame_step": np.array([4, 0])}),
        ("frame_step", {"frame_step": np.array([0, 9])}),
        ("frame_step", {"frame_step": np.array([-1, 3])}),
    ],
)
def test_what_does_not_fit_together_is_refused(field: str, changes: dict[str, object]) -> None:
    fitting = {
        "remaining": np.zeros(2),
        "frame_step": np.array([0, 4]),
        "reward": minus_one(9),
        "max_steps": LIMIT,
        "success": True,
        "n": 4,
    }
    with pytest.raises(Invalid, match=field):
        n_step_advantage(**{**fitting, **changes})  # type: ignore[arg-type]
