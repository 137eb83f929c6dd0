"""Several entries of the learner as one line of the journal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from services.conductor.journal import Learner


def digest(said: Sequence[Learner]) -> Learner:
    """The last of `said`, which is not empty, with what it holds "since the last report" taken over all of them."""
    losses: dict[str, list[float]] = defaultdict(list)
    spent: Counter[str] = Counter()
    for each in said:
        spent.update(each.spent_s)
        for name, value in each.losses.items():
            losses[name].append(value)
    return replace(
        said[-1],
        losses={name: fmean(values) for name, values in losses.items()},
        updates_per_s=fmean(each.updates_per_s for each in said),
        wait_share=fmean(each.wait_share for each in said),
        spent_s=dict(spent),
    )
