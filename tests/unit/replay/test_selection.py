"""Drawing: each order draws what it says, from what may still be drawn."""

from __future__ import annotations

import numpy as np
import pytest

from ramp.errors import Invalid
from ramp.replay.selection import Selection
from ramp.types import Order


def changed(made: Selection) -> dict[int, float]:
    items, priorities = made.changed.items()
    return dict(zip(items.tolist(), priorities.tolist(), strict=True))


def selection(max_times: int = 0, **tasks: int) -> Selection:
    """So many items of each task, one task after the other."""
    made = Selection(max_times)
    for task, count in tasks.items():
        made.append(task, np.ones(count), np.zeros(count, bool))
    return made


def draws(made: Selection, order: Order, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    drawn = made.draw(order, count, np.random.default_rng(seed))
    assert drawn is not None
    return drawn


def test_uniform_draws_say_their_probability() -> None:
    items, probability = draws(selection(push=10), Order.UNIFORM, 50_000)
    np.testing.assert_allclose(np.bincount(items) / 50_000, 0.1, atol=0.01)
    assert (probability == 0.1).all()


def test_stratified_draws_give_every_task_the_same_share() -> None:
    items, probability = draws(selection(push=90, pull=10), Order.STRATIFIED, 50_000)
    assert (items >= 90).mean() == pytest.approx(0.5, abs=0.01)
    np.testing.assert_allclose(np.bincount(items)[:90] / 50_000, 1 / 180, atol=0.002)
    assert set(np.round(probability[items < 90], 9)) == {round(1 / 180, 9)}
    assert set(np.round(probability[items >= 90], 9)) == {round(1 / 20, 9)}


@pytest.mark.parametrize(("order", "expected"), [(Order.FIFO, [0, 1, 2]), (Order.LIFO, [4, 3, 2])])
def test_queues_draw_from_their_end_each_item_once(order: Order, expected: list[int]) -> None:
    made = selection(push=5)
    for _ in range(2):
        items, probability = draws(made, order, 3)
        assert items.tolist() == expected
        assert (probability == 1).all()
    assert made.draw(order, 6, np.random.default_rng(0)) is None


def test_a_queue_of_items_drawn_once_goes_through_all_of_them() -> None:
    made = selection(1, push=3, pull=2)
    assert draws(made, Order.FIFO, 2)[0].tolist() == [0, 1]
    assert (made.dropped["push"], len(made), made.unseen) == (2, 3, {"push": 1, "pull": 2})
    assert draws(made, Order.FIFO, 3)[0].tolist() == [2, 3, 4]
    assert made.draw(Order.UNIFORM, 1, np.random.default_rng(0)) is None
    assert (dict(made.dropped), made.unseen) == ({"push": 3, "pull": 2}, {})


def test_a_bound_on_draws_holds_for_every_order() -> None:
    for order in (Order.UNIFORM, Order.PRIORITIZED, Order.STRATIFIED):
        made, seen = selection(3, push=6, pull=2), np.zeros(8, int)
        while (drawn := made.draw(order, 1, np.random.default_rng(int(seen.sum())))) is not None:
            np.add.at(seen, drawn[0], 1)
        assert seen.tolist() == [3] * 8


@pytest.mark.parametrize("order", list(Order))
def test_removed_items_are_not_drawn(order: Order) -> None:
    made = selection(push=6, pull=4)
    assert made.remove(np.array([0, 5, 6, 7, 9])) == 5
    assert made.remove(np.array([0, 5])) == 0
    items, probability = draws(made, order, 5)
    assert set(items.tolist()) <= {1, 2, 3, 4, 8}
    assert np.isfinite(probability).all()


def test_removed_items_get_no_priority_back() -> None:
    made = selection(push=3)
    made.remove(np.array([1]))
    made.set_priorities(np.array([1, 2]), np.array([1000.0, 2.0]))
    assert changed(made) == {2: 2.0}
    assert 1 not in draws(made, Order.PRIORITIZED, 1000)[0]


def test_renumbering_changes_nothing_but_the_numbers() -> None:
    made = selection(2, push=4, pull=3)
    made.set_priorities(np.array([1, 5]), np.array([7.0, 9.0]))
    draws(made, Order.FIFO, 2)
    made.remove(np.array([0, 4]))
    numbers = np.array([-1, 0, 1, 2, -1, 3, 4])
    made.renumber(numbers)
    assert (len(made), changed(made), made.unseen) == (5, {0: 7.0, 3: 9.0}, {"push": 2, "pull": 2})
    assert draws(made, Order.FIFO, 5)[0].tolist() == [0, 1, 2, 3, 4]
    assert len(made) == 4  # the one that had been drawn before is spent
    made.append("push", np.ones(1), np.zeros(1, bool))
    assert draws(made, Order.LIFO, 2)[0].tolist() == [5, 4]


def test_priorities_that_are_none_are_refused() -> None:
    made = selection(push=2)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(Invalid, match="priority"):
            made.set_priorities(np.array([0]), np.array([wrong]))
    made.set_priorities(np.array([0, 1]), np.zeros(2))
    with pytest.raises(Invalid, match="every priority is 0"):
        made.draw(Order.PRIORITIZED, 1, np.random.default_rng(0))


def test_what_is_labelled_is_counted_as_long_as_it_can_be_drawn() -> None:
    made = selection(max_times=1, push=4)
    made.append("push", np.ones(2), np.array([True, False]))
    assert made.labelled == 1
    made.mark(np.array([True, True, True, False, False, False]))
    assert made.labelled == 3
    made.remove(np.array([0, 3]))
    draws(made, Order.FIFO, 1)
    assert made.labelled == 1
    made.renumber(np.array([-1, -1, 0, -1, 1, 2]))
    made.remove(np.array([0]))
    assert made.labelled == 0
