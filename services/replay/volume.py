"""The volume that a shard's directory lies on."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from services.common import metrics
from services.common.periodic import Periodic

logger = logging.getLogger(__name__)


class Volume(Periodic):
    """Tells Prometheus of its space."""

    def __init__(self, directory: Path, period_s: float = 5.0) -> None:
        super().__init__("volume", period_s)
        self._directory = directory

    def turn(self) -> bool:
        try:
            usage = shutil.disk_usage(self._directory)
        except OSError as error:
            logger.warning("the volume tells nothing this time: %s", error)
            return True
        metrics.REPLAY_DISK_FREE.set(usage.free)
        metrics.REPLAY_DISK_CAPACITY.set(usage.total)
        return True
