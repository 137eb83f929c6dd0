"""Who is held out does not depend on who asks, and every task is both learnt and tried."""

from __future__ import annotations

import pytest

from ramp.data.transforms import fold_of
from ramp.errors import Invalid
from ramp.evaluation import held_out

TASKS = {f"episode-{number}": ("a", "b")[number % 2] for number in range(100)}


def test_a_share_of_every_task_is_held_out() -> None:
    chosen = held_out(TASKS, 0.2)
    assert [sum(TASKS[each] == task for each in chosen) for task in ("a", "b")] == [10, 10]


def test_it_depends_on_the_ids_alone() -> None:
    backwards = dict(reversed(list(TASKS.items())))
    only_a = {each: task for each, task in TASKS.items() if task == "a"}
    assert held_out(TASKS, 0.2) == held_out(backwards, 0.2)
    assert held_out(only_a, 0.2) == {each for each in held_out(TASKS, 0.2) if TASKS[each] == "a"}


def test_a_larger_share_holds_out_the_same_and_more() -> None:
    assert held_out(TASKS, 0.2) < held_out(TASKS, 0.5)


def test_both_folds_of_the_world_model_are_among_them() -> None:
    assert {fold_of(each) for each in held_out(TASKS, 0.2)} == {0, 1}


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_of_two_episodes_one_is_learnt_and_one_is_tried(share: float) -> None:
    assert len(held_out({"x": "a", "y": "a"}, share)) == 1


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, float("nan")])
def test_a_share_that_leaves_nothing_is_refused(share: float) -> None:
    with pytest.raises(Invalid, match="share"):
        held_out(TASKS, share)


def test_a_task_with_one_episode_is_refused() -> None:
    with pytest.raises(Invalid, match="1 of c"):
        held_out(TASKS | {"x": "c"}, 0.2)
