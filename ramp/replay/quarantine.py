"""What becomes of bytes that cannot be read: a copy for whoever investigates, a line in the log, and a count."""

from __future__ import annotations

import logging
import os
from pathlib import Path

logger = logging.getLogger(__name__)


class Quarantine:
    """Beside the segments of one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.damaged = 0  # ranges that were found unreadable and not merely torn

    def cut(self, path: Path, offset: int, reason: str) -> None:
        """What a crash left of a record that was never acknowledged, or of a footer. A copy is kept all the same.

        Raises OSError.
        """
        end = path.stat().st_size
        logger.warning("%s: torn tail of %d bytes cut (%s)", path.name, end - offset, reason)
        self._copy(path, offset, end)
        if offset == 0:
            path.unlink()
            return
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.ftruncate(descriptor, offset)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def report(self, path: Path, begin: int, end: int, reason: str) -> None:
        """Count and copy; the segment itself stays as it is, and is skipped there."""
        self.damaged += 1
        logger.error("%s: %d bytes at %d unreadable (%s)", path.name, end - begin, begin, reason)
        self._copy(path, begin, end)

    def _copy(self, path: Path, begin: int, end: int) -> None:
        place = self._directory / "quarantine" / f"{path.stem}-{begin}.bin"
        try:
            place.parent.mkdir(exist_ok=True)
            with path.open("rb") as file:
                file.seek(begin)
                place.write_bytes(file.read(end - begin))
        except OSError as error:
            logger.error("could not copy the damaged bytes: %s", error)
