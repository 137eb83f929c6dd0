"""Which episodes a model is tried on and never trained on: the same ones whoever asks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping

from ramp.errors import Invalid


def held_out(task_of: Mapping[str, str], share: float) -> frozenset[str]:
    """That share of every task's episodes (rounded, at least one, never all), by the order of their ids' hashes.

    `task_of` is episode id to task. The hash is not `fold_of`'s: both folds are among the held out ones.
    Raises Invalid for a share outside (0, 1) and for a task with a single episode.
    """
    if not 0.0 < share < 1.0:
        raise Invalid("share", share, "hold out more than nothing and less than everything")
    by_task: defaultdict[str, list[str]] = defaultdict(list)
    for episode_id in sorted(task_of, key=_place):
        by_task[task_of[episode_id]].append(episode_id)
    for task, episodes in by_task.items():
        if len(episodes) < 2:
            raise Invalid("episodes", f"1 of {task}", "collect two or more of each task: one to learn from, one to try")
    chosen = (ids[: min(max(1, round(share * len(ids))), len(ids) - 1)] for ids in by_task.values())
    return frozenset(episode_id for ids in chosen for episode_id in ids)


def _place(episode_id: str) -> bytes:
    return hashlib.sha256(episode_id.encode()).digest()
