"""Robot units to network units and back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ramp.data.normalize import Normalizer
from ramp.errors import Invalid
from ramp.types import StepSchema

ROWS = hnp.arrays(np.float32, (20, 3), elements=st.floats(-50, 50, width=32))


@given(ROWS, ROWS)
@settings(max_examples=50)
def test_actions_survive_the_round_trip(fitted: np.ndarray, actions: np.ndarray) -> None:
    normalizer = Normalizer.fit(fitted, fitted)
    back = normalizer.denormalise_action(normalizer.normalise_action(actions))
    np.testing.assert_allclose(back, actions, rtol=1e-4, atol=1e-3)


@given(ROWS)
@settings(max_examples=50)
def test_a_normalizer_survives_json(fitted: np.ndarray) -> None:
    normalizer = Normalizer.fit(fitted, fitted)
    again = Normalizer.from_dict(json.loads(json.dumps(normalizer.to_dict())))
    assert all(np.array_equal(getattr(normalizer, n), getattr(again, n)) for n in normalizer.to_dict())


def test_the_quantiles_become_minus_one_and_one() -> None:
    rows = np.linspace(0.0, 10.0, 101, dtype=np.float32)[:, None]
    normalizer = Normalizer.fit(rows, rows)
    ends = np.quantile(rows, (0.01, 0.99))[:, None].astype(np.float32)
    np.testing.assert_allclose(normalizer.normalise_proprio(ends)[:, 0], [-1.0, 1.0], atol=1e-5)


def test_a_sensor_far_out_of_range_is_cut_and_a_constant_one_is_zero() -> None:
    rows = np.concatenate([np.zeros((50, 1)), np.linspace(-1, 1, 50)[:, None]], axis=1).astype(np.float32)
    normalizer = Normalizer.fit(rows, rows)
    unit = normalizer.normalise_proprio(np.array([[0.0, 1e6]], np.float32))
    assert unit.tolist() == [[0.0, 3.0]]


@pytest.mark.parametrize("bad", [np.zeros((0, 2)), np.zeros(3), np.array([[np.nan, 1.0]])])
def test_samples_that_are_empty_or_not_finite_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(Invalid, match="proprio"):
        Normalizer.fit(bad, np.zeros((1, 1)))


def test_a_dictionary_with_other_fields_is_refused() -> None:
    with pytest.raises(Invalid, match="normalizer"):
        Normalizer.from_dict({"mean": [0.0]})


ROBOT = StepSchema(cameras={}, proprio_width=3, action_low=(-1.0, 0.0), action_high=(1.0, 0.04))


def fitted_to(proprio: int, low: list[float], high: list[float]) -> Normalizer:
    """Of a robot with so many sensors whose actions lie between these."""
    random = np.random.default_rng(0)
    return Normalizer.fit(random.random((200, proprio)), random.uniform(low, high, (200, len(low))))


def test_statistics_of_its_own_robot_pass_up_to_the_bounds() -> None:
    fitted_to(3, [-1.0, 0.0], [1.0, 0.04]).check(ROBOT)
    Normalizer.from_dict(
        {"proprio_low": [0] * 3, "proprio_high": [1] * 3, "action_low": [-1.0, 0.0], "action_high": [1.0, 0.04]}
    ).check(ROBOT)


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (fitted_to(4, [-1.0, 0.0], [1.0, 0.04]), "normalizer.proprio_low"),
        (fitted_to(3, [-1.0, 0.0, 0.0], [1.0, 0.04, 1.0]), "normalizer.action_low"),
        (fitted_to(3, [-1.0], [1.0]), "normalizer.action_low"),
        (fitted_to(3, [-1.0, -0.04], [1.0, 0.04]), "normalizer.action_low"),
        (fitted_to(3, [-1.0, 0.0], [1.0, 1.0]), "normalizer.action_high"),
    ],
)
def test_statistics_of_another_robot_are_refused_by_name(other: Normalizer, field: str) -> None:
    """Two of them would otherwise pass unseen: numpy stretches a width of one, and bounds cut what is too large."""
    with pytest.raises(Invalid) as refused:
        other.check(ROBOT)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "spoilt",
    [
        {"action_low": [0.0, float("nan")]},
        {"action_high": [0.0, float("inf")]},
        {"proprio_low": [9.0, 0.0]},
        {"proprio_high": [1.0]},
        {"action_low": [[0.0, 0.0]], "action_high": [[1.0, 1.0]]},
    ],
)
def test_numbers_that_are_no_quantiles_are_refused(spoilt: dict[str, object]) -> None:
    good = {"proprio_low": [0, 0], "proprio_high": [1, 1], "action_low": [0, 0], "action_high": [1, 1]}
    Normalizer.from_dict(good)
    with pytest.raises(Invalid, match=r"normalizer\.(proprio|action)"):
        Normalizer.from_dict(good | spoilt)
