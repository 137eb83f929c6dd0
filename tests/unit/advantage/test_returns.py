from __future__ import annotations

import numpy as np
import pytest

from ramp.advantage import remaining_time
from ramp.errors import Invalid


def test_a_success_counts_down_in_shares_of_the_limit() -> None:
    np.testing.assert_allclose(remaining_time(4, max_steps=8, success=True), [0.5, 0.375, 0.25, 0.125])


def test_a_faster_success_has_less_time_left_at_its_start() -> None:
    assert remaining_time(20, max_steps=100, success=True)[0] < remaining_time(60, max_steps=100, success=True)[0]


def test_a_failure_adds_its_penalty_and_never_exceeds_one() -> None:
    assert remaining_time(4, max_steps=8, success=False).tolist() == [1.0] * 4
    np.testing.assert_allclose(
        remaining_time(4, max_steps=8, success=False, failure_penalty=0.6), [1.0, 0.975, 0.85, 0.725]
    )


def test_labels_are_float32_within_zero_and_one() -> None:
    label = remaining_time(100, max_steps=100, success=True)
    assert label.dtype == np.float32
    assert 0 < label.min() < label.max() <= 1


@pytest.mark.parametrize("length", [0, 9])
def test_an_impossible_length_is_refused(length: int) -> None:
    with pytest.raises(Invalid, match="length"):
        remaining_time(length, max_steps=8, success=True)
