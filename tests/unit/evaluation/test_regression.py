"""When a promotion is taken back."""

from __future__ import annotations

import pytest

from ramp.evaluation.regression import Bounds, Tally, difference, regression, tally

BEFORE = Tally(episodes=200, successes=160, helped=20)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (Tally(episodes=100, successes=80, helped=10), ""),  # the same
        (Tally(episodes=100, successes=95, helped=0), ""),  # better
        (Tally(episodes=100, successes=74, helped=10), ""),  # perhaps worse
        (Tally(episodes=100, successes=50, helped=10), "success fell by 0."),
        (Tally(episodes=100, successes=80, helped=45), "takeovers rose by 0."),
        (Tally(episodes=19, successes=0, helped=19), ""),  # too few
    ],
)
def test_a_promotion_is_taken_back_only_where_it_is_sure_to_have_done_harm(after: Tally, said: str) -> None:
    words = regression(BEFORE, after, Bounds())
    assert words.startswith(said)
    assert bool(words) is bool(said)


def test_with_nothing_to_compare_with_nothing_is_taken_back() -> None:
    assert regression(Tally(), Tally(episodes=100), Bounds()) == ""


def test_the_interval_of_a_difference_is_newcombes() -> None:
    assert difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)  # his first example


def test_episodes_are_counted_by_how_they_ended_and_who_helped() -> None:
    assert tally([(True, False), (False, True), (True, True)]) == Tally(episodes=3, successes=2, helped=2)
