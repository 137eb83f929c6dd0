from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.errors import Invalid
from ramp.evaluation import Evaluation, evaluate, success_result, wilson
from ramp.types import EpisodeSummary, Outcome


def episode(task: str, outcome: Outcome, steps: int, seed: int = 0) -> EpisodeSummary:
    return EpisodeSummary(
        episode_id=f"{task}-{seed}",
        task=task,
        seed=seed,
        purpose="eval",
        outcome=outcome,
        steps=steps,
        frames=0,
        human_steps=0,
        interventions=0,
        policy_version=1,
        seconds=0.0,
        sim_seconds=0.0,
        render_seconds=0.0,
        inference_seconds=0.0,
        replay_seconds=0.0,
    )


WON, LOST = Outcome.SUCCESS, Outcome.FAILURE


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


def test_time_to_success_counts_successes_and_throughput_counts_all_time() -> None:
    """Two successes of 10 and 30 steps, one failure of 60: 100 steps at 10 Hz are 10 s."""
    result = success_result("a", [episode("a", WON, 10), episode("a", WON, 30), episode("a", LOST, 60)], 10.0)
    assert (result.episodes, result.successes, result.rate) == (3, 2, pytest.approx(2 / 3))
    assert (result.mean_steps_to_success, result.mean_seconds_to_success) == (20.0, 2.0)
    assert result.successes_per_hour == pytest.approx(2 / 10 * 3600)


def test_without_a_success_there_is_no_time_to_it() -> None:
    result = success_result("a", [episode("a", LOST, 60)], 10.0)
    assert (result.mean_steps_to_success, result.mean_seconds_to_success, result.successes_per_hour) == (None, None, 0)


def test_tasks_are_told_apart_and_pooled() -> None:
    found = evaluate([episode("b", WON, 10), episode("a", LOST, 20), episode("b", LOST, 20)], 80.0)
    assert [(result.task, result.successes, result.episodes) for result in found.tasks] == [("a", 0, 1), ("b", 1, 2)]
    assert (found.pooled.successes, found.pooled.episodes) == (1, 3)


def test_an_evaluation_survives_json() -> None:
    found = evaluate([episode("b", WON, 10), episode("a", LOST, 20)], 80.0)
    assert Evaluation.from_json(found.to_json()) == found
    assert json.loads(evaluate([], 80.0).to_json())["pooled"]["high"] == 1.0


@pytest.mark.parametrize("text", ["", "{}", '{"tasks": [{"name": 1}], "pooled": {}}', "[]"])
def test_json_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="evaluation"):
        Evaluation.from_json(text)


def test_better_means_that_the_intervals_do_not_touch() -> None:
    def rate(won: int) -> list[EpisodeSummary]:
        return [episode("a", WON if number < won else LOST, 10) for number in range(100)]

    low, middle, high = (success_result("a", rate(won), 10.0) for won in (40, 52, 80))
    assert high.lies_above(low)
    assert not middle.lies_above(low)
    assert not low.lies_above(high)


def test_a_control_rate_of_zero_is_refused() -> None:
    with pytest.raises(Invalid, match="control_hz"):
        evaluate([], 0.0)
