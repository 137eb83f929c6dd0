"""Files that hold secrets, or decide who may come in: nobody else may read or change them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ramp.errors import Invalid, NotFound
from ramp.replay.durable import sync

FORBIDDEN = stat.S_IWGRP | stat.S_IRWXO  # a group may read: mounted secrets are root's, with a group for the service


def read_private(path: Path) -> bytes:
    """Its content. Raises NotFound, and Invalid where others may read or change it."""
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & FORBIDDEN:
                raise Invalid(str(path), f"mode {mode:04o}", f"nobody else may have it: chmod 600 {path}")
            return file.read()
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
    except OSError as error:
        raise Invalid(str(path), error.strerror, "name a file that this process may read") from error


def write_private(path: Path, content: bytes) -> None:
    """Replace it by one that only its owner may read, whole or not at all. Raises OSError."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync(path.parent)
