"""Backups that a process makes by itself, of what lies on its own disk: nobody else has to reach that disk."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ramp.errors import RampError, Unavailable
from services.backup.bucket import Bucket
from services.backup.copying import Told
from services.backup.manifest import Manifest
from services.backup.part import Part
from services.common import metrics
from services.common.periodic import Periodic
from services.common.place import BackupPlace

logger = logging.getLogger(__name__)

LOOK_S = 30.0  # between looks whether one is due; a failed one is tried again then
HOUR_S = 3600.0


class Backups(Periodic):
    """Of one part. The gauge begins with what the place holds, so that a restart does not forget."""

    def __init__(
        self,
        name: str,
        settings: BackupPlace,
        make: Callable[[Part, int, Told], Manifest],
        period_s: float = LOOK_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`make` backs the part up, given how many backups are kept and whom to tell. Raises Invalid."""
        super().__init__("backup", period_s)
        self._part, self._settings = Part(Bucket(settings.url), name), settings
        self._make, self._clock = make, clock
        self._last: float | None = None
        metrics.REPLAY_BACKUP.set(clock())

    def turn(self) -> bool:
        try:
            if self._last is None:
                self._last = max((each.taken_at for each in self._part.manifests()), default=0.0)
            if self._clock() >= self._last + self._settings.every_h * HOUR_S:
                self._back_up()
            if self._last:
                metrics.REPLAY_BACKUP.set(self._last)
        except Exception as error:  # buckets have errors of their own
            if self._stopped.is_set():
                return False
            metrics.REPLAY_BACKUP_FAILURES.inc()
            expected = isinstance(error, RampError)
            logger.error("no backup to %s this time: %s", self._settings.url, error, exc_info=not expected)
        return True

    def _back_up(self) -> None:
        began = time.monotonic()
        made = self._make(self._part, self._settings.keep, self._go_on)
        self._last = made.taken_at
        words = "%s: backup %d to %s, %d episodes, %d bytes, %.1f s"
        logger.info(
            words, made.part, made.number, self._settings.url, made.episodes, made.size, time.monotonic() - began
        )

    def _go_on(self, done: int, total: int) -> None:
        """A server that is asked to stop does not wait for a bucket: what was copied by then is there the next time."""
        if self._stopped.is_set():
            raise Unavailable(f"stopped at {done} of {total} bytes")
