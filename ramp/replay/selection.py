"""Which items of a table can be drawn, and in which order. Items are numbers 0 .. M - 1, in the order of arrival."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ramp.errors import Invalid
from ramp.replay.growing import Growing
from ramp.replay.pool import Pool
from ramp.replay.sampler import SumTree
from ramp.types import Order

Drawn = tuple[np.ndarray, np.ndarray]
"""Items int64 [B], and the probability with which each was drawn, float64 [B]."""

WHOLE = (Order.FIFO, Order.LIFO)
"""Orders that draw every item of a batch once, so that they need as many items as the batch has."""


@dataclass(frozen=True, slots=True)
class Changed:
    """Whose priorities were set from outside, bool [M], and the priorities of all items, float64 [M]."""

    which: np.ndarray
    priorities: np.ndarray

    def items(self) -> tuple[np.ndarray, np.ndarray]:
        """Those items, int64 [N], and their priorities, float64 [N]."""
        found = np.flatnonzero(self.which)
        return found, self.priorities[found]


class Selection:
    """Priorities, and how often each item was drawn. An item that was drawn `max_times` is drawn no more; 0: no bound.

    Not thread-safe; `ramp.replay.table.Table` serialises its callers.
    """

    def __init__(self, max_times: int = 0) -> None:
        self._max_times = max_times
        self._tree = SumTree()
        self._times = Growing(np.int32)
        self._present = Growing(np.bool_)  # whether the item can be drawn
        self._alive = Pool()
        self._by_task: dict[str, Pool] = {}  # the same, apart
        self._tasks = Growing(np.int32)  # of every item, by number
        self._numbers: dict[str, int] = {}
        self._set = Growing(np.bool_)  # whether its priority was set from outside
        self._marked = Growing(np.bool_)  # whether it has an indicator
        self.labelled = 0  # items that can be drawn and have one
        self.dropped: Counter[str] = Counter()  # by task: items drawn as often as they may be
        self._unseen: Counter[str] = Counter()  # by task: items never drawn

    def __len__(self) -> int:
        """How many can be drawn."""
        return len(self._alive)

    @property
    def unseen(self) -> Mapping[str, int]:
        """Items that can be drawn and never were, by task; tasks without any are left out."""
        return {task: count for task, count in self._unseen.items() if count > 0}

    @property
    def changed(self) -> Changed:
        """Priorities that were set from outside. It may be read later: one that is set meanwhile is old or new."""
        return Changed(self._set.view, self._tree.leaves)

    def append(self, task: str, priorities: np.ndarray, marked: np.ndarray) -> int:
        """Items behind the present ones, all of one task, `marked` where they have an indicator (bool [M]); the number
        of the first."""
        items = np.arange(len(self._tree), len(self._tree) + len(priorities))
        number = self._numbers.setdefault(task, len(self._numbers))
        self._tree.append(priorities)
        self._times.append(np.zeros(len(items), np.int32))
        self._present.append(np.ones(len(items), bool))
        self._set.append(np.zeros(len(items), bool))
        self._marked.append(marked)
        self.labelled += int(marked.sum())
        self._tasks.append(np.full(len(items), number, np.int32))
        self._alive.append(items)
        self._by_task.setdefault(task, Pool()).append(items)
        self._unseen[task] += len(items)
        return len(self._tree) - len(items)

    def mark(self, marked: np.ndarray) -> None:
        """Which of all items have an indicator now, bool [M]."""
        self._marked = Growing.of(marked)
        self.labelled = int((marked & self._present.view).sum())

    def set_priorities(self, items: np.ndarray, priorities: np.ndarray) -> None:
        """Of an item named twice, the last one counts. Raises Invalid. What cannot be drawn any more stays so."""
        values = np.asarray(priorities, dtype=np.float64)
        SumTree.check(values)
        alive = self._present.view[items]
        self._tree.update(items[alive], values[alive])
        self._set.view[items[alive]] = True

    # ------------------------------------------------------------------------------------------ drawing

    def draw(self, order: Order, count: int, generator: np.random.Generator) -> Drawn | None:
        """`count` items, counted as drawn; None where there are too few of them by now.

        Raises Invalid where every priority is 0.
        """
        if len(self) < (count if order in WHOLE else 1):
            return None
        items, probability = self._choose(order, count, generator)
        self._count(items)
        return items, probability

    def _choose(self, order: Order, count: int, generator: np.random.Generator) -> Drawn:
        alive, present = self._alive, self._present.view
        if order is Order.FIFO:
            return alive.first(count, present), np.ones(count)
        if order is Order.LIFO:
            return alive.last(count, present), np.ones(count)
        if order is Order.STRATIFIED:
            return self._stratified(count, generator)
        if order is Order.UNIFORM:
            return alive.any(count, present, generator), np.full(count, 1.0 / len(alive))
        if self._tree.total <= 0:
            raise Invalid("order", "every priority is 0", "set a priority above 0, or sample uniformly")
        return self._tree.draw(generator.random(count))

    def _stratified(self, count: int, generator: np.random.Generator) -> Drawn:
        """A task, each as likely as the others, then one of its items."""
        strata = [pool for pool in self._by_task.values() if len(pool)]
        chosen = generator.integers(0, len(strata), count)
        sizes = np.array([len(pool) for pool in strata])
        items = np.empty(count, np.int64)
        for number, stratum in enumerate(strata):
            here = chosen == number
            items[here] = stratum.any(int(here.sum()), self._present.view, generator)
        return items, 1.0 / (len(strata) * sizes[chosen])

    def _count(self, items: np.ndarray) -> None:
        times = self._times.view
        self._see(np.unique(items[times[items] == 0]))
        np.add.at(times, items, 1)
        if self._max_times:
            spent = np.unique(items[times[items] >= self._max_times])
            self.dropped.update(self._per_task(spent))
            self.remove(spent)

    def _see(self, items: np.ndarray) -> None:
        self._unseen.subtract(self._per_task(items))

    def _per_task(self, items: np.ndarray) -> dict[str, int]:
        counts = np.bincount(self._tasks.view[items], minlength=len(self._numbers)).tolist()
        return dict(zip(self._numbers, counts, strict=True))

    # ----------------------------------------------------------------------------------------- removing

    def remove(self, items: np.ndarray) -> int:
        """Items that must not be drawn any more; how many of them could be until now."""
        gone = items[self._present.view[items]]
        if not len(gone):
            return 0
        self._tree.update(gone, np.zeros(len(gone)))
        self._see(gone[self._times.view[gone] == 0])
        self._present.view[gone] = False
        self.labelled -= int(self._marked.view[gone].sum())
        self._alive.leave(len(gone), self._present.view)
        for task, count in self._per_task(gone).items():
            if count:
                self._by_task[task].leave(count, self._present.view)
        self._set.view[gone] = False
        return len(gone)

    def renumber(self, numbers: np.ndarray) -> None:
        """Item i becomes `numbers[i]`, int64 [M], ascending; those that become -1 are forgotten, and were removed."""
        kept = numbers >= 0
        leaves, tree = self._tree.leaves[kept].copy(), SumTree()
        tree.append(leaves)
        self._tree = tree
        self._times, self._tasks = Growing.of(self._times.view[kept]), Growing.of(self._tasks.view[kept])
        self._present = Growing.of(self._present.view[kept])
        self._marked = Growing.of(self._marked.view[kept])
        for pool in (self._alive, *self._by_task.values()):
            pool.renumber(numbers)
        self._set = Growing.of(self._set.view[kept])
