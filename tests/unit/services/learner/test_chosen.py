"""Rows of the chosen tasks come in full batches, in their order, each once; others never."""

from __future__ import annotations

import itertools

import pytest
import torch

from services.learner.chosen import Chosen
from services.learner.sampled import Sampled

TASKS = "abacabbcaab"  # of the rows of an endless source, over and over


class Counted:
    """Gives `size` rows at a time, numbered; nothing at all after `last` batches."""

    def __init__(self, size: int, last: int = 1000) -> None:
        self._size, self._last, self._given, self.closed = size, last, 0, False

    def poll(self, timeout_s: float) -> Sampled | None:
        if self._given == self._last:
            return None
        rows = range(self._given * self._size, (self._given + 1) * self._size)
        self._given += 1
        return Sampled(
            tensors={"x": torch.tensor(rows), "y": torch.zeros(self._size, 2)},
            keys=[(f"e{row}", row) for row in rows],
            tasks=[TASKS[row % len(TASKS)] for row in rows],
            policy_versions=list(rows),
        )

    def close(self) -> None:
        self.closed = True


def polled(source: Chosen, count: int) -> list[Sampled]:
    found = [source.poll(1.0) for _ in range(count)]
    return [each for each in found if each is not None]


@pytest.mark.parametrize("wanted", ["a", "c", "ac"])
@pytest.mark.parametrize("size", [1, 4, 30])
def test_every_row_of_the_tasks_comes_once_and_in_order(wanted: str, size: int) -> None:
    batches = polled(Chosen(Counted(size), wanted, 6), 5)
    expected = list(itertools.islice((r for r in itertools.count() if TASKS[r % len(TASKS)] in wanted), 30))
    assert [len(each.keys) for each in batches] == [6] * 5
    assert [row for each in batches for row in each.tensors["x"].tolist()] == expected
    assert [row for each in batches for _, row in each.keys] == expected
    assert [row for each in batches for row in each.policy_versions] == expected
    assert {task for each in batches for task in each.tasks} == set(wanted)
    assert {tuple(each.tensors["y"].shape) for each in batches} == {(6, 2)}


def test_where_there_are_no_other_tasks_batches_pass_as_they_are() -> None:
    plain, chosen = Counted(4), Chosen(Counted(4), "abc", 4)
    for _ in range(3):
        here, there = plain.poll(1.0), chosen.poll(1.0)
        assert here is not None
        assert there is not None
        assert torch.equal(here.tensors["x"], there.tensors["x"])


def test_rows_that_came_before_the_source_ran_dry_are_kept() -> None:
    source = Counted(4, last=1)
    chosen = Chosen(source, "a", 3)
    assert chosen.poll(0.0) is None
    source._last = 2
    batch = chosen.poll(0.0)
    assert batch is not None
    assert batch.tensors["x"].tolist() == [0, 2, 4]


def test_closing_closes_the_source() -> None:
    source = Counted(4)
    Chosen(source, "a", 3).close()
    assert source.closed
