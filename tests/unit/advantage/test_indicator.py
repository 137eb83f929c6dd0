from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.advantage import AdvantageConfig, indicator, n_step_advantage, positive_threshold, thresholds
from ramp.types import UNLABELLED, Source

CONFIG = AdvantageConfig(demo_positive=0.3, rollout_positive=0.4)


@given(count=st.integers(0, 200), share=st.floats(0, 1), seed=st.integers(0, 100))
def test_the_share_above_the_threshold_is_the_one_asked_for(count: int, share: float, seed: int) -> None:
    advantage = np.random.default_rng(seed).permutation(count).astype(np.float32)
    assert (advantage > positive_threshold(advantage, share)).sum() == round(share * count)


@given(values=st.lists(st.sampled_from([0.0, 0.1, 0.2]), max_size=40), share=st.floats(0, 1))
def test_equal_advantages_share_their_fate(values: list[float], share: float) -> None:
    advantage = np.array(values)
    assert (advantage > positive_threshold(advantage, share)).sum() <= round(share * len(values))


def test_advantages_that_have_all_collapsed_make_nothing_positive() -> None:
    assert not (np.zeros(50) > positive_threshold(np.zeros(50), 0.4)).any()


def test_unknown_advantages_have_no_say() -> None:
    assert positive_threshold(np.array([1.0, np.nan, 3.0, 2.0, np.nan, 4.0]), 0.5) == 2.0


def items(seed: int = 0) -> tuple[np.ndarray, list[str], np.ndarray]:
    """400 items: two tasks on different scales; 100 demonstrations and 100 rollout items of each."""
    random = np.random.default_rng(seed)
    task = ["a"] * 200 + ["b"] * 200
    source = np.tile(np.repeat([Source.DEMO, Source.POLICY], 100), 2).astype(np.uint8)
    scale = np.repeat([1.0, 0.01], 200)
    return random.normal(size=400) * scale - 3 * (source == Source.POLICY), task, source


def test_shares_hold_per_task_for_demonstrations_and_rollouts_apart() -> None:
    advantage, task, source = items()
    found = indicator(advantage, task, source, thresholds(advantage, task, source, CONFIG))
    shares = found.reshape(4, 100).mean(axis=1)  # a demo, a rollout, b demo, b rollout
    np.testing.assert_allclose(shares, [0.3, 0.4, 0.3, 0.4])


def test_a_persons_steps_are_positive_and_do_not_move_the_threshold() -> None:
    advantage, task, source = items()
    before = thresholds(advantage, task, source, CONFIG)
    human = np.full(50, Source.HUMAN)
    worst = np.full(50, -100.0)
    joined = np.concatenate([advantage, worst]), task + ["a"] * 50, np.concatenate([source, human])

    assert thresholds(*joined, CONFIG) == before
    assert indicator(*joined, before)[-50:].tolist() == [1] * 50


def test_dreams_count_as_rollouts() -> None:
    advantage = np.arange(10.0)
    source = np.full(10, Source.DREAM)
    assert indicator(advantage, ["a"] * 10, source, thresholds(advantage, ["a"] * 10, source, CONFIG)).sum() == 4


@pytest.mark.parametrize("source", list(Source))
def test_without_an_advantage_only_a_person_s_step_is_judged(source: Source) -> None:
    found = indicator(np.array([np.nan]), ["a"], np.array([source]), {("a", False): 0.0, ("a", True): 0.0})
    assert found.dtype == np.int8
    assert found.tolist() == [1 if source == Source.HUMAN else UNLABELLED]


def test_a_task_without_a_threshold_has_no_positive_items() -> None:
    assert indicator(np.array([5.0]), ["new"], np.array([Source.POLICY]), {}).tolist() == [0]


def test_in_a_world_of_two_states_the_good_action_is_the_positive_one() -> None:
    """From the far state (10 steps to go) the good action leads to the near one (2 steps), the bad one stays: A is 7
    and -1 steps (test_nstep.py). As rollouts where two actions of five are good, eps lies between them."""
    far, near, limit = 0.10, 0.02, 100
    remaining, reward = np.array([far, far, near, near / 2]), np.full(4, -1.0, np.float32)
    bad, good, *_ = n_step_advantage(remaining, np.arange(4), reward, max_steps=limit, success=True, n=1)
    advantage, source = np.array([bad, good, bad, good, bad]), np.full(5, Source.POLICY)
    eps = thresholds(advantage, ["a"] * 5, source, CONFIG)
    assert bad <= eps["a", False] < good
    assert indicator(advantage, ["a"] * 5, source, eps).tolist() == [0, 1, 0, 1, 0]


def test_a_value_that_has_memorised_its_episodes_makes_nothing_positive() -> None:
    """With gamma 1 every advantage is 0 then, and equal advantages are never told apart."""
    frames, limit = np.arange(0, 40, 4), 100
    remaining = (40 - frames) / limit
    advantage = n_step_advantage(remaining, frames, np.full(40, -1.0), max_steps=limit, success=True, n=8)
    np.testing.assert_allclose(advantage, 0.0, atol=1e-6)
    source, advantage = np.full(len(frames), Source.POLICY), advantage.round(6)
    names = ["a"] * len(frames)
    assert not indicator(advantage, names, source, thresholds(advantage, names, source, CONFIG)).any()
