"""The takeover rule, decision by decision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.recipes.recipe import TakeoverConfig
from services.actor.intervention import Reason, Takeover

CONFIG = TakeoverConfig(patience=3, min_progress=0.02, fall=0.15, hold=10, stillness=0.01, max_takeovers=2)


def moving(step: int) -> np.ndarray:
    return np.array([0.1 * step, 0.0], np.float32)


def watch(rule: Takeover, remaining: list[float], *, first: int = 0, still: bool = False) -> list[bool]:
    """One decision a step; whether the person took over at each."""
    where = (lambda step: moving(0)) if still else moving
    return [rule.watch(first + i, value, where(first + i)) for i, value in enumerate(remaining)]


def test_a_policy_that_gets_on_is_left_alone() -> None:
    rule = Takeover(CONFIG)

    assert not any(watch(rule, [1.0 - 0.03 * i for i in range(30)]))
    assert rule.count == 0


def test_no_progress_over_patience_decisions_brings_the_person() -> None:
    rule = Takeover(CONFIG)

    assert watch(rule, [0.5, 0.5, 0.5, 0.5]) == [False, False, False, True]
    assert rule.reasons == [Reason.NO_PROGRESS]


def test_just_enough_progress_is_progress() -> None:
    assert not any(watch(Takeover(CONFIG), [0.50, 0.50, 0.50, 0.475]))


def test_a_value_that_falls_brings_the_person_at_once() -> None:
    rule = Takeover(CONFIG)

    assert watch(rule, [0.6, 0.5, 0.6, 0.66]) == [False, False, False, True]
    assert rule.reasons == [Reason.FALL]


def test_an_arm_that_stands_still_is_rescued_whatever_the_world_model_hopes() -> None:
    rule = Takeover(CONFIG)

    assert watch(rule, [0.9, 0.8, 0.7, 0.6], still=True) == [False, False, False, True]
    assert rule.reasons == [Reason.STILL]


def test_the_person_holds_for_so_many_steps_and_hands_back() -> None:
    rule = Takeover(CONFIG)
    assert not rule.holds(0)
    assert rule.watch(0, 0.1, moving(0)) is False
    assert rule.watch(7, 0.9, moving(7)) is True

    assert [step for step in range(7, 30) if rule.holds(step)] == list(range(7, 17))


def test_after_handing_back_the_policy_gets_its_patience_anew() -> None:
    rule = Takeover(CONFIG)
    watch(rule, [0.1, 0.9])

    assert watch(rule, [0.9, 0.9, 0.9, 0.9], first=12) == [False, False, False, True]


def test_a_person_comes_so_often_and_no_more() -> None:
    rule = Takeover(CONFIG)

    watch(rule, [0.5] * 50)

    assert rule.count == CONFIG.max_takeovers
    assert not Takeover(TakeoverConfig(max_takeovers=0)).watch(0, 1.0, moving(0))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(0, 4))
def test_whatever_is_predicted_the_bounds_hold(remaining: list[float], limit: int) -> None:
    rule = Takeover(TakeoverConfig(max_takeovers=limit, hold=5))
    held = 0
    for step, value in enumerate(remaining):
        if rule.holds(step):
            held += 1
        elif rule.watch(step, value, moving(step)):
            assert rule.holds(step)
            held += 1

    assert rule.count == len(rule.reasons) <= limit
    assert held <= 5 * limit


@pytest.mark.parametrize("step", [0, 5])
def test_nobody_holds_before_a_takeover(step: int) -> None:
    assert not Takeover(CONFIG).holds(step)
