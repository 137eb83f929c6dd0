from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.errors import Invalid
from ramp.evaluation import wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_wilson_agrees_with_published_figures(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=2e-4)


@given(trials=st.integers(0, 500), share=st.floats(0, 1))
def test_the_interval_holds_the_rate_and_stays_within_zero_and_one(trials: int, share: float) -> None:
    successes = round(share * trials)
    low, high = wilson(successes, trials)
    assert 0 <= low < high <= 1
    assert trials == 0 or low <= successes / trials <= high


def test_without_trials_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(Invalid, match="successes"):
        wilson(successes, trials)
