"""Priorities that were set from outside, for a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Priorities:
    """Of N items: `step[n]` of the episode `ids[episode[n]]` has `priority[n]`."""

    ids: Sequence[str]
    episode: np.ndarray  # int64 [N]
    step: np.ndarray  # int64 [N]
    priority: np.ndarray  # float64 [N]

    @classmethod
    def none(cls) -> Priorities:
        return cls([], np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))

    def rows(self) -> list[tuple[str, int, float]]:
        """(episode, step, priority) of each."""
        names = [self.ids[each] for each in self.episode.tolist()]
        return list(zip(names, self.step.tolist(), self.priority.tolist(), strict=True))
