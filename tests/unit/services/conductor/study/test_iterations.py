"""Rounds of several runs side by side."""

from __future__ import annotations

from services.common.settings import compose
from services.conductor.journal import Evaluation, TaskResult
from services.conductor.study.iterations import Rounds, quick, trials


def trial(version: int, successes: int, env_steps: int) -> Evaluation:
    result = TaskResult(episodes=10, successes=successes, mean_steps=40.0, mean_seconds=0.5)
    return Evaluation(label="interim", policy_version=version, env_steps=env_steps, tasks={"reach": result})


def test_trials_are_put_together_by_their_order_and_not_by_when_they_ended() -> None:
    one = [trial(5, 6, 900), trial(1, 2, 100)]
    two = [trial(1, 4, 300), trial(5, 8, 1100)]
    first, second = trials("with", [one, two])
    assert first["name"] == "with, round 0"
    assert first["success"].startswith("6/20 (")
    assert first["rollout_steps"] == 200
    assert second["success"].startswith("14/20 (")


def test_a_round_that_only_one_run_has_reached_is_left_out() -> None:
    assert len(trials("with", [[trial(1, 2, 100), trial(5, 3, 200)], [trial(1, 4, 300)]])) == 1


def test_both_arms_have_settings_that_exist_and_differ_in_the_takeovers() -> None:
    for rounds in (Rounds(), quick(Rounds())):
        made = [compose(rounds.recipe, None, [*rounds.settings, *settings]) for _, settings in rounds.arms]
        assert [each.takeover.max_takeovers > 0 for each in made] == [True, False]
