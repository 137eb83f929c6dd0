"""What the disk has for good: fsync of files and of the directories that name them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """fsync a file's content, or a directory's names. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Create it, and what is missing above it, so that a power cut leaves their names. Raises OSError.

    Of one that is there already, too: who made it may have been killed before its name was safe.
    """
    if not path.is_dir():
        make_directory(path.parent)
        path.mkdir(exist_ok=True)
    with where_writable():
        sync(path.parent)


@contextmanager
def where_writable() -> Iterator[None]:
    """For what is tidied up at a start: a read-only disk keeps it as it is, and can be read all the same."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
