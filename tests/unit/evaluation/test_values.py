from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.errors import Invalid
from ramp.evaluation import kendall_tau, value_errors, value_errors_by_task

numbers = st.lists(st.integers(0, 6), min_size=2, max_size=200)


def tau_by_pairs(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b as it is defined."""
    sign = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
    above = np.triu_indices(len(x), 1)
    untied = [(np.sign(v[:, None] - v)[above] != 0).sum() for v in (x, y)]
    return sign[above].sum() / math.sqrt(untied[0] * untied[1]) if min(untied) else math.nan


@given(st.data(), numbers)
def test_kendalls_tau_is_that_of_all_pairs_counted(data: st.DataObject, values: list[int]) -> None:
    x = np.array(values, float)
    y = np.array(data.draw(st.lists(st.integers(0, 6), min_size=len(x), max_size=len(x))), float)
    assert kendall_tau(x, y) == pytest.approx(tau_by_pairs(x, y), nan_ok=True)


@pytest.mark.parametrize("count", [3, 64, 65, 1000])
def test_order_is_judged_whatever_the_number_of_frames(count: int) -> None:
    x = np.random.default_rng(count).permutation(count).astype(float)
    assert kendall_tau(x, x**3) == pytest.approx(1.0)
    assert kendall_tau(x, -x) == pytest.approx(-1.0)


def test_tau_of_many_frames_agrees_with_all_pairs_counted() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=1500)
    y = x + random.normal(size=1500)
    assert kendall_tau(x, y) == pytest.approx(tau_by_pairs(x, y))


def test_a_constant_has_no_order() -> None:
    assert math.isnan(kendall_tau(np.ones(5), np.arange(5.0)))


def test_errors_by_hand() -> None:
    found = value_errors(np.array([0.1, 0.5, 0.9]), np.array([0.2, 0.5, 0.5]))
    assert found.count == 3
    assert (found.mae, found.mse) == (pytest.approx(0.5 / 3), pytest.approx(0.17 / 3))
    assert found.rmse == pytest.approx(math.sqrt(0.17 / 3))


def test_the_average_over_tasks_weighs_tasks_alike() -> None:
    predicted, actual = np.array([0.0, 0.1, 0.2, 1.0, 0.0]), np.array([0.0, 0.1, 0.2, 0.0, 1.0])
    by_task, mean = value_errors_by_task(predicted, actual, ["a", "a", "a", "b", "b"])
    assert (by_task["a"].mae, by_task["b"].mae, mean.mae) == (0.0, 1.0, 0.5)
    assert (by_task["a"].kendall, by_task["b"].kendall, mean.kendall) == (
        pytest.approx(1),
        pytest.approx(-1),
        pytest.approx(0),
    )
    assert mean.count == 5


def test_a_task_without_an_order_has_no_say_in_the_average_order() -> None:
    _, mean = value_errors_by_task(np.array([0.1, 0.2, 0.3]), np.array([0.1, 0.2, 0.5]), ["a", "a", "b"])
    assert mean.kendall == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("predicted", "actual"),
    [(np.zeros(2), np.zeros(3)), (np.zeros(0), np.zeros(0)), (np.array([np.nan]), np.zeros(1))],
)
def test_what_cannot_be_compared_is_refused(predicted: np.ndarray, actual: np.ndarray) -> None:
    with pytest.raises(Invalid, match="predicted"):
        value_errors(predicted, actual)


def test_one_name_per_value_is_needed() -> None:
    with pytest.raises(Invalid, match="task"):
        value_errors_by_task(np.zeros(2), np.zeros(2), ["a"])
