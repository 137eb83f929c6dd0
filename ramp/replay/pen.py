"""How bytes get into a file that only grows: what is large goes straight to the disk, past the page cache.

The cache would cost more than the disk: a new page for every 4096 bytes, which nobody has asked for yet, and all of
them written back before an fsync returns. Whole blocks go from one aligned buffer, again and again the same; what lies
before the first and behind the last of them goes through the cache, as all that is small, and so never shares a page
with them.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 4096  # bytes; a page, and no less than any disk's own
STAGE_BYTES = 4 * 2**20  # bytes in one write past the cache
DIRECT_BYTES = 256 * 2**10  # smaller parts are better off in the cache: they are read soon, and share one fsync
MANY = 512  # buffers in one call of the kernel, which takes 1024
NOT_HERE = (errno.EINVAL, errno.EOPNOTSUPP)
"""What a file system says that has no way past the cache."""


class Stage:
    """The aligned buffer, for any number of files; who fills it holds its `lock` until the bytes are written."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._memory = mmap.mmap(-1, STAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with contextlib.suppress(OSError):  # a kernel without large pages
            self._memory.madvise(mmap.MADV_HUGEPAGE)  # a disk takes more bytes at a time in fewer pieces
        self._bytes = np.frombuffer(self._memory, np.uint8)

    def fill(self, blocks: np.ndarray) -> memoryview:
        """A copy; other threads go on meanwhile."""
        self._bytes[: len(blocks)] = blocks
        return memoryview(self._memory)[: len(blocks)]


class Pen:
    """One new file. Not thread-safe."""

    def __init__(self, path: Path, stage: Stage) -> None:
        """Raises OSError where the file is there already, or cannot be made."""
        self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
        self._direct, self._stage = _direct(path), stage

    def write(self, parts: Sequence[Any], offset: int) -> int:
        """Bytes written: all of the parts, behind the `offset` bytes that are there. Raises OSError; then some may have
        been."""
        small: list[np.ndarray] = []
        place = offset
        for view in (np.frombuffer(part, np.uint8) for part in parts if len(part)):
            if self._direct >= 0 and len(view) >= DIRECT_BYTES:
                begin, end = -place % BLOCK, len(view) - (place + len(view)) % BLOCK
                write_all(self._fd, [*small, view[:begin]])
                self._write_past(view[begin:end], place + begin)
                small = [view[end:]]
            else:
                small.append(view)
            place += len(view)
        write_all(self._fd, small)
        return place - offset

    def _write_past(self, blocks: np.ndarray, place: int) -> None:
        for begin in range(0, len(blocks), STAGE_BYTES):
            with self._stage.lock:
                staged = self._stage.fill(blocks[begin : begin + STAGE_BYTES])
                _write_at(self._direct, staged, place + begin)

    def truncate(self, size: int) -> None:
        os.ftruncate(self._fd, size)

    def sync(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)
        if self._direct >= 0:
            os.close(self._direct)


def write_all(descriptor: int, parts: Sequence[Any]) -> int:
    """Bytes written: all of the parts, not copied together. Raises OSError; then some may have been."""
    views = [view for view in (memoryview(part).cast("B") for part in parts) if view.nbytes]
    done, first = 0, 0
    while first < len(views):
        written = os.writev(descriptor, views[first : first + MANY])
        done += written
        while first < len(views) and written >= views[first].nbytes:
            written -= views[first].nbytes
            first += 1
        if written:
            views[first] = views[first][written:]
    return done


def _direct(path: Path) -> int:
    """A descriptor past the cache, or -1. Raises OSError."""
    try:
        return os.open(path, os.O_WRONLY | os.O_DIRECT)
    except OSError as error:
        if error.errno not in NOT_HERE:
            raise
        return -1


def _write_at(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
