"""A directory belongs to one process at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ramp.errors import Unavailable


def own(directory: Path) -> int:
    """Lock the directory; closing the descriptor, or the process's end however it comes, sets it free.

    Raises Unavailable where another process has it.
    """
    descriptor = os.open(directory / "LOCK", os.O_CREAT | os.O_RDONLY, 0o640)  # opens on a read-only disk, too
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise Unavailable(f"{directory} is open in another process") from error
    return descriptor
