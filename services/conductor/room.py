"""How many more rollouts the table `online` takes before its producers would have to wait for the learner.

An actor that waits at the rate limiter can do nothing else. So the conductor looks ahead: it hands out rollouts only as
far as the limiter will let them in, and evaluations, or nothing, otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ramp.recipes.recipe import ReplayConfig
from ramp.replay.info import ReplayInfo
from services.conductor.ledger import Ledger
from services.conductor.schedule import Dispatch

TABLE = "online"


class Room:
    """Follows the limiter between two looks at replay by counting what was handed in since."""

    def __init__(self, sampling: ReplayConfig, shards: int = 1) -> None:
        """Each shard has a limiter of its own; what they are told together is what all of them take."""
        self._sampling, self._slack = sampling, sampling.slack * shards
        self._info: ReplayInfo | None = None
        self._handed_in = 0  # rollouts, when that information came

    def look(self, info: ReplayInfo | None, ledger: Ledger) -> None:
        """Take note of replay's newest answer."""
        if info is not self._info:
            self._info, self._handed_in = info, ledger.rollouts.total()

    def rollouts(self, ledger: Ledger, inflight: Sequence[Dispatch]) -> float:
        """How many more may be handed out; inf where that is not known yet."""
        table = self._info.table(TABLE) if self._info else None
        if table is None or not table.episodes:
            return math.inf
        items = (self._slack - table.lead) / self._sampling.samples_per_insert
        under_way = sum(1 for each in inflight if each.assignment.purpose == "rollout")
        since = ledger.rollouts.total() - self._handed_in
        return items * table.episodes / max(table.items, 1) - since - under_way
