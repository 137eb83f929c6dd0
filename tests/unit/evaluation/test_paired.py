"""McNemar's test on the same starts."""

from __future__ import annotations

import pytest

from ramp.errors import Invalid
from ramp.evaluation.paired import mcnemar


def test_only_disagreements_count() -> None:
    first = dict(enumerate([True] * 6 + [False] * 4))
    second = dict(enumerate([True] * 1 + [False] * 9))
    found = mcnemar(first, second)
    assert (found.starts, found.first_only, found.second_only) == (10, 5, 0)
    assert found.p_value == pytest.approx(2 * 0.5**5)
    assert found.difference == pytest.approx(0.5)


def test_equal_policies_do_not_differ() -> None:
    same = {1: True, 2: False}
    assert mcnemar(same, same).p_value == 1.0


def test_exchanging_the_policies_turns_the_difference_round() -> None:
    first, second = {1: True, 2: True, 3: False}, {1: False, 2: True, 3: False}
    one, two = mcnemar(first, second), mcnemar(second, first)
    assert one.difference == -two.difference
    assert one.p_value == two.p_value


@pytest.mark.parametrize("second", [{}, {1: True, 3: True}])
def test_other_starts_are_refused(second: dict[int, bool]) -> None:
    with pytest.raises(Invalid, match="same starts"):
        mcnemar({1: True, 2: True}, second)
