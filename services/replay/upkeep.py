"""What a replay server does again and again beside its calls: telling how it is, and tidying up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ramp.errors import RampError
from ramp.replay.info import TableInfo
from ramp.replay.shard import Shard
from services.common import metrics
from services.common.periodic import Periodic

logger = logging.getLogger(__name__)

CHECKPOINT_SHARE = 0.02


class Housekeeping(Periodic):
    """Applies the retention rule, and gives the disk back what was deleted."""

    def __init__(self, shard: Shard, period_s: float = 30.0) -> None:
        super().__init__("housekeeping", period_s)
        self._shard = shard

    def turn(self) -> bool:
        try:
            gone, freed = self._shard.keep()
        except (RampError, OSError) as error:  # a full disk: the next time there may be room
            logger.warning("nothing was tidied up this time: %s", error)
            return True
        metrics.REPLAY_DELETED.labels("retention").inc(gone)
        metrics.REPLAY_FREED.inc(freed)
        if gone or freed:
            logger.info("%d episodes deleted by the retention rule, %d bytes given back", gone, freed)
        return True


class Scrub(Periodic):
    """Finds bits that have flipped in what was written long ago; their episodes leave the tables."""

    def __init__(self, shard: Shard, bytes_per_s: int, period_s: float = 1.0) -> None:
        super().__init__("scrub", period_s)
        self._shard, self._budget = shard, int(bytes_per_s * period_s)

    def turn(self) -> bool:
        try:
            done, _ = self._shard.scrub(self._budget)  # the damage is logged and counted where it is found
        except OSError as error:
            logger.warning("nothing was compared this time: %s", error)
            return True
        metrics.REPLAY_SCRUBBED.inc(done)
        return True


class Watch(Periodic):
    """Keeps gauges and the checkpoint of counters fresh, and notices a failed disk.

    A checkpoint that takes long is made seldom: they take at most CHECKPOINT_SHARE of the time.
    """

    def __init__(self, shard: Shard, on_failure: Callable[[], None], period_s: float = 1.0) -> None:
        super().__init__("watch", period_s)
        self._shard, self._on_failure = shard, on_failure
        self._next_checkpoint = 0.0  # on the monotonic clock
        self._waits: dict[str, tuple[float, float]] = {}

    def turn(self) -> bool:
        try:
            self.observe()
            self._checkpoint()
        except OSError as error:
            logger.warning("no checkpoint of the counters: %s", error)
        if self._shard.failed:
            self._on_failure()
        return not self._shard.failed

    def _checkpoint(self) -> None:
        began = time.monotonic()
        if began >= self._next_checkpoint:
            self._shard.checkpoint()
            ended = time.monotonic()
            self._next_checkpoint = ended + (ended - began) / CHECKPOINT_SHARE

    def observe(self) -> None:
        info = self._shard.info()
        for table in info.tables:
            self._observe_table(table)
        metrics.REPLAY_ANNOTATION.set(info.annotation_version)
        metrics.REPLAY_DISK.set(info.disk_bytes)
        metrics.REPLAY_DAMAGED.set(info.quarantined_segments)

    def _observe_table(self, table: TableInfo) -> None:
        metrics.REPLAY_ITEMS.labels(table.name).set(table.items)
        metrics.REPLAY_EPISODES.labels(table.name).set(table.episodes)
        metrics.REPLAY_LEAD.labels(table.name).set(table.lead)
        metrics.REPLAY_LABELLED.labels(table.name).set(table.labelled)
        inserting, sampling = self._waits.get(table.name, (0.0, 0.0))
        metrics.REPLAY_INSERT_WAIT.labels(table.name).inc(table.insert_wait_s - inserting)
        metrics.REPLAY_SAMPLE_WAIT.labels(table.name).inc(table.sample_wait_s - sampling)
        self._waits[table.name] = (table.insert_wait_s, table.sample_wait_s)


class Recheck(Periodic):
    """Looks again and again whether the tokens of living streams are still good."""

    def __init__(self, recheck: Callable[[], int], period_s: float = 15.0) -> None:
        super().__init__("recheck", period_s)
        self._recheck = recheck

    def turn(self) -> bool:
        self._recheck()
        return True
