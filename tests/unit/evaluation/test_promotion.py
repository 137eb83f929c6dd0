"""When a version may replace another."""

from __future__ import annotations

import pytest

from ramp.errors import Invalid
from ramp.evaluation.promotion import check_promotion, compared

TASKS = ("open", "close")


def results(*won: int) -> dict[tuple[str, int], bool]:
    """Of 50 starts of each task, on so many the version succeeded."""
    return {(task, seed): seed < count for task, count in zip(TASKS, won, strict=True) for seed in range(50)}


def test_the_gain_is_a_mean_over_tasks_with_its_interval() -> None:
    found = compared(results(40, 30), results(30, 30))

    assert (found.starts, found.only_new, found.only_old) == (100, 10, 0)
    assert found.gain == pytest.approx(0.1)
    assert 0.0 < found.low < found.gain < found.high < 0.2


@pytest.mark.parametrize(("new", "old"), [((40, 40), (40, 40)), ((45, 40), (30, 40))])
def test_what_is_not_worse_may_replace_it(new: tuple[int, int], old: tuple[int, int]) -> None:
    check_promotion(compared(results(*new), results(*old)), min_starts=100, min_gain=-0.05)


def test_what_may_be_worse_is_refused_with_the_numbers() -> None:
    with pytest.raises(Invalid, match=r"gain -0\.060, 95 % from") as refused:
        check_promotion(compared(results(37, 37), results(40, 40)), min_starts=100, min_gain=-0.05)
    assert refused.value.field == "release.min_gain"


def test_too_few_starts_are_refused_however_well_they_went() -> None:
    with pytest.raises(Invalid, match="100 starts"):
        check_promotion(compared(results(50, 50), results(0, 0)), min_starts=101, min_gain=0.0)


def test_other_starts_are_refused() -> None:
    with pytest.raises(Invalid, match="starts"):
        compared(results(1, 1), {("open", 0): True})
