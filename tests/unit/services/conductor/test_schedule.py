"""What is dispatched next, from a whole run played with an actor that answers at once to losses and resumes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ramp.errors import Invalid
from ramp.recipes.recipe import DemosConfig, EvaluationConfig, Recipe, ReplayConfig
from services.conductor import journal
from services.conductor.ledger import Ledger, apply
from services.conductor.schedule import (
    Dispatch,
    Landmarks,
    activity,
    demos_missing,
    is_complete,
    is_over,
    next_dispatch,
    note_seed,
    skip_seeds,
    wanted,
)
from tests.unit.services.conductor.summaries import summary

RECIPE = Recipe(
    tasks=("a", "b"),
    demos=DemosConfig(episodes_per_task=3),
    sampling=ReplayConfig(min_items=20),
    evaluation=EvaluationConfig(episodes_per_task=2, interim_episodes_per_task=1, interim_every=2, first_seed=100_000),
)
BEFORE, JOINT, AFTER = Landmarks(), Landmarks(stage2=1), Landmarks(stage2=1, final=4)


def finish(ledger: Ledger, dispatch: Dispatch, *, success: bool = True, interventions: int = 0) -> None:
    """The actor answers."""
    asked = dispatch.assignment
    done = summary(
        asked.purpose,
        asked.task,
        asked.seed,
        version=asked.policy_version,
        success=success,
        interventions=interventions,
    )
    apply(ledger, journal.Episode(summary=done, actor="actor-0", label=dispatch.label))


def play(ledger: Ledger, marks: Landmarks, count: int) -> list[Dispatch]:
    """Dispatch and finish up to `count` episodes, one at a time."""
    done: list[Dispatch] = []
    while len(done) < count and (dispatch := next_dispatch(RECIPE, ledger, marks, [])):
        note_seed(ledger, dispatch.assignment)
        finish(ledger, dispatch)
        done.append(dispatch)
    return done


def versions(ledger: Ledger, newest: int) -> None:
    for number in range(1, newest + 1):
        apply(ledger, journal.Version(kind="policy", version=number))


def test_demonstrations_come_first_with_tasks_in_turn_and_stop_at_their_number() -> None:
    ledger = Ledger()
    done = play(ledger, BEFORE, 100)
    assert [each.assignment.task for each in done] == ["a", "b"] * 3
    assert {each.assignment.tables for each in done} == {("demos",)}
    assert demos_missing(RECIPE, ledger) == 0
    assert next_dispatch(RECIPE, ledger, BEFORE, []) is None


def test_demonstrations_in_flight_count_as_promised() -> None:
    ledger, inflight = Ledger(), []
    while dispatch := next_dispatch(RECIPE, ledger, BEFORE, inflight):
        note_seed(ledger, dispatch.assignment)
        inflight.append(dispatch)
    assert len(inflight) == 6


def test_demonstrations_in_a_spool_are_not_asked_for_again() -> None:
    ledger = Ledger()
    for seed in range(6):
        done = summary("demo", "ab"[seed % 2], seed, acknowledged=False)
        apply(ledger, journal.Episode(summary=done, actor="actor-0"))
    assert next_dispatch(RECIPE, ledger, BEFORE, []) is None
    del ledger.unconfirmed["demo-b-1"]
    again = next_dispatch(RECIPE, ledger, BEFORE, [])
    assert again is not None
    assert again.assignment.task == "b"


def test_a_seed_of_training_data_is_never_handed_out_twice_even_when_it_was_lost() -> None:
    ledger = Ledger()
    seeds = []
    for _ in range(5):  # every one is lost
        dispatch = next_dispatch(RECIPE, ledger, BEFORE, [])
        assert dispatch is not None
        note_seed(ledger, dispatch.assignment)
        seeds.append(dispatch.assignment.seed)
    assert len(set(seeds)) == 5


def test_after_a_crash_the_seeds_that_may_have_been_in_flight_are_passed_over() -> None:
    ledger = Ledger()
    play(ledger, BEFORE, 2)
    top = ledger.top_seed["demo"]
    skip_seeds(RECIPE, ledger, 4)
    dispatch = next_dispatch(RECIPE, ledger, BEFORE, [])
    assert dispatch is not None
    assert dispatch.assignment.seed == top + 5


def test_after_a_crash_before_the_first_report_seeds_are_passed_over_too() -> None:
    first = next_dispatch(RECIPE, Ledger(), BEFORE, [])
    ledger = Ledger()
    skip_seeds(RECIPE, ledger, 4)
    dispatch = next_dispatch(RECIPE, ledger, BEFORE, [])
    assert first is not None
    assert dispatch is not None
    assert dispatch.assignment.seed == first.assignment.seed + 4


@pytest.mark.parametrize("marks", [BEFORE, JOINT], ids=["demonstrations", "rollouts"])
@pytest.mark.parametrize(("first_seed", "blocks"), [(2_000_000, 20), (199_999, 1), (100_000, 1)])
def test_different_runs_train_on_different_seeds_and_never_on_those_of_the_evaluation(
    marks: Landmarks, first_seed: int, blocks: int
) -> None:
    recipe = replace(RECIPE, evaluation=EvaluationConfig(first_seed=first_seed))
    seeds = []
    for run_seed in range(2 * blocks):
        dispatch = next_dispatch(replace(recipe, seed=run_seed), Ledger(), marks, [])
        assert dispatch is not None
        seeds.append(dispatch.assignment.seed)
    assert len(set(seeds)) == blocks
    assert max(seeds) + 50_000 < first_seed


def test_a_run_ends_before_it_trains_on_held_out_starts() -> None:
    ledger = Ledger(top_seed={"rollout": RECIPE.evaluation.first_seed - 1})
    with pytest.raises(Invalid, match="used up"):
        next_dispatch(RECIPE, ledger, JOINT, [])


def test_rollouts_come_before_the_evaluation_until_the_learner_can_sample_them() -> None:
    ledger = Ledger()
    first = play(ledger, JOINT, 4)  # 5 frames each
    assert [each.label for each in first] == [""] * 4
    following = play(ledger, JOINT, 1)
    assert following[0].label == "stage2"


def test_rollouts_and_the_evaluation_take_turns() -> None:
    ledger = Ledger()
    play(ledger, JOINT, 4)
    inflight: list[Dispatch] = []
    for _ in range(4):
        dispatch = next_dispatch(RECIPE, ledger, JOINT, inflight)
        assert dispatch is not None
        note_seed(ledger, dispatch.assignment)
        inflight.append(dispatch)
    assert [bool(each.label) for each in inflight] == [True, False, True, False]


def test_an_evaluation_covers_every_task_on_the_same_fixed_seeds_once() -> None:
    ledger = Ledger()
    play(ledger, JOINT, 40)
    tried = ledger.tried["stage2", 1]
    assert sorted(tried) == [("a", 100_000), ("a", 100_001), ("b", 100_000), ("b", 100_001)]


def test_a_lost_evaluation_episode_is_tried_again_on_its_seed() -> None:
    ledger = Ledger()
    play(ledger, JOINT, 4)
    first = next_dispatch(RECIPE, ledger, JOINT, [])
    again = next_dispatch(RECIPE, ledger, JOINT, [])
    assert first == again


def test_a_resumed_run_does_not_repeat_evaluations() -> None:
    ledger = Ledger()
    play(ledger, JOINT, 40)
    apply(ledger, journal.Evaluation(label="stage2", policy_version=1, env_steps=0, tasks={}))
    assert wanted(RECIPE, ledger, JOINT) == []


def test_the_task_that_needs_most_help_gets_most_rollouts() -> None:
    ledger = Ledger()
    for _ in range(60):
        dispatch = next_dispatch(RECIPE, ledger, Landmarks(stage2=1), [Dispatch(eval_of("a"), "x")] * 2)
        assert dispatch is not None
        note_seed(ledger, dispatch.assignment)
        finish(ledger, dispatch, interventions=int(dispatch.assignment.task == "b"))
    assert ledger.rollouts["b"] > 2 * ledger.rollouts["a"] > 0


def eval_of(task: str) -> object:
    from services.actor.assignment import Assignment

    return Assignment(purpose="eval", task=task, seed=1, policy_version=1)


@pytest.mark.parametrize(("newest", "expected"), [(1, []), (2, []), (3, [3]), (4, [3]), (5, [5])])
def test_interim_evaluations_follow_the_rhythm_of_published_versions(newest: int, expected: list[int]) -> None:
    ledger = Ledger()
    versions(ledger, newest)
    assert [each.version for each in wanted(RECIPE, ledger, JOINT) if each.label == "interim"] == expected


def test_after_the_final_version_only_evaluations_are_left_then_nothing() -> None:
    ledger = Ledger()
    versions(ledger, 4)
    done = play(ledger, AFTER, 100)
    assert {each.label for each in done} == {"stage2", "final"}
    assert not is_over(RECIPE, ledger, AFTER)
    for each in wanted(RECIPE, ledger, AFTER):
        assert is_complete(RECIPE, ledger, each)
        apply(ledger, journal.Evaluation(label=each.label, policy_version=each.version, env_steps=0, tasks={}))
    assert is_over(RECIPE, ledger, AFTER)
    assert activity(RECIPE, ledger, AFTER) == "nothing left"


def test_nothing_is_over_before_the_final_version() -> None:
    assert not is_over(RECIPE, Ledger(), BEFORE)
    assert activity(RECIPE, Ledger(), BEFORE) == "demonstrations"


def test_no_rollouts_are_handed_out_that_replay_would_let_wait() -> None:
    ledger = Ledger()
    play(ledger, JOINT, 4)
    first = next_dispatch(RECIPE, ledger, JOINT, [], room=0.5)
    assert first is not None
    assert first.label == "stage2"
    play(ledger, JOINT, 40)
    apply(ledger, journal.Evaluation(label="stage2", policy_version=1, env_steps=0, tasks={}))
    assert next_dispatch(RECIPE, ledger, JOINT, [], room=0.5) is None
    assert next_dispatch(RECIPE, ledger, JOINT, [], room=1.0) is not None
