"""Drawing: what comes out is distributed as the priorities say, whatever is updated in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramp.errors import Invalid
from ramp.replay.sampler import SumTree


def filled(priorities: list[float]) -> SumTree:
    tree = SumTree()
    tree.append(np.array(priorities))
    return tree


def test_items_are_drawn_as_often_as_their_priorities_say() -> None:
    priorities = np.array([1.0, 0.0, 3.0, 6.0, 0.5])
    items, probability = filled(priorities.tolist()).draw(np.random.default_rng(0).random(200_000))
    share = np.bincount(items, minlength=5) / len(items)
    np.testing.assert_allclose(share, priorities / priorities.sum(), atol=0.005)
    np.testing.assert_allclose(probability, (priorities / priorities.sum())[items])


def test_an_item_of_priority_zero_is_never_drawn_not_even_at_the_edges() -> None:
    tree = filled([0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    edges = np.array([0.0, np.nextafter(0.5, 0), 0.5, np.nextafter(1.0, 0)])
    assert set(tree.draw(edges)[0].tolist()) == {1, 4}


@settings(max_examples=60)
@given(st.lists(st.lists(st.floats(0, 1e6), min_size=1, max_size=40), min_size=1, max_size=6), st.randoms())
def test_every_inner_sum_is_right_after_any_appends_and_updates(parts: list[list[float]], random: object) -> None:
    tree, expected = SumTree(), []
    for part in parts:
        tree.append(np.array(part))
        expected += part
        item = random.randrange(len(expected))  # type: ignore[attr-defined]
        tree.update(np.array([item, item]), np.array([5.0, 2.0]))
        expected[item] = 2.0
    np.testing.assert_array_equal(tree.leaves, expected)
    assert tree.total == pytest.approx(sum(expected))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_priority_that_is_no_weight_is_refused(bad: float) -> None:
    tree = filled([1.0, 1.0])
    with pytest.raises(Invalid, match="priority"):
        tree.update(np.array([0]), np.array([bad]))
    assert tree.total == 2.0
