"""Rows of some tasks alone: what a policy learns from that is to know nothing of the others."""

from __future__ import annotations

import time
from collections.abc import Collection

from services.learner.sampled import Sampled, Source, joined, taken


class Chosen:
    """A source whose batches have `rows` rows, all of these tasks, out of one that knows more of them.

    What the source gives of other tasks is left out: one task among six costs six of its batches for one. Where it
    gives no others, its batches pass as they are.
    """

    def __init__(self, source: Source, tasks: Collection[str], rows: int) -> None:
        self._source, self._tasks, self._rows = source, frozenset(tasks), rows
        self._waiting: list[Sampled] = []

    def poll(self, timeout_s: float) -> Sampled | None:
        """None until there are as many rows as were asked for; those that came are kept."""
        until = time.monotonic() + timeout_s
        while sum(len(part.keys) for part in self._waiting) < self._rows:
            sampled = self._source.poll(max(0.0, until - time.monotonic()))
            if sampled is None:
                return None
            wanted = [row for row, task in enumerate(sampled.tasks) if task in self._tasks]
            if wanted:
                self._waiting.append(taken(sampled, wanted))
        return self._first(joined(self._waiting))

    def close(self) -> None:
        self._source.close()

    def _first(self, found: Sampled) -> Sampled:
        count = len(found.keys)
        self._waiting = [taken(found, range(self._rows, count))] if count > self._rows else []
        return taken(found, range(self._rows))
