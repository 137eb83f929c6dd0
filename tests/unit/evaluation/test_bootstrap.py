"""Averages over frames, and how sure they are when episodes are what varies."""

from __future__ import annotations

import numpy as np
import pytest

from ramp.errors import Invalid
from ramp.evaluation import bootstrap_interval, frame_average


def test_frames_weigh_alike_within_a_group_and_groups_weigh_alike() -> None:
    total, frames = np.array([1.0, 0.0, 4.0]), np.array([1, 3, 2])
    assert frame_average(total, frames, ["a", "a", "b"]) == pytest.approx((1 / 4 + 2) / 2)


def test_episodes_that_agree_leave_no_doubt() -> None:
    frames = np.array([10, 20, 30, 40])
    assert bootstrap_interval(0.3 * frames, frames, ["a", "a", "b", "b"]) == pytest.approx((0.3, 0.3))


def test_the_interval_of_equal_episodes_is_that_of_the_mean() -> None:
    errors = np.random.default_rng(0).normal(0.5, 0.2, 400)
    low, high = bootstrap_interval(errors * 7, np.full(400, 7), ["a"] * 400)
    half = 1.96 * errors.std() / 20
    assert (low, high) == (
        pytest.approx(errors.mean() - half, abs=0.004),
        pytest.approx(errors.mean() + half, abs=0.004),
    )


def test_frames_of_one_episode_are_no_evidence_of_their_own() -> None:
    rng = np.random.default_rng(1)
    errors = rng.normal(0.5, 0.2, 40)
    narrow = bootstrap_interval(np.repeat(errors, 50), np.full(2000, 1), ["a"] * 2000)
    wide = bootstrap_interval(errors * 50, np.full(40, 50), ["a"] * 40)
    assert wide[1] - wide[0] > 5 * (narrow[1] - narrow[0])


def test_a_group_is_drawn_from_itself() -> None:
    total = np.array([0.0, 0.0, 1.0, 1.0])
    assert bootstrap_interval(total, np.ones(4, int), ["a", "a", "b", "b"]) == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    ("total", "frames", "group"), [([], [], []), ([1.0], [1, 2], ["a"]), ([1.0], [1], []), ([1.0], [0], ["a"])]
)
def test_what_has_no_average_is_refused(total: list[float], frames: list[int], group: list[str]) -> None:
    with pytest.raises(Invalid):
        bootstrap_interval(np.array(total), np.array(frames), group)
