"""What a producer has said and the server has not acknowledged yet: one file per episode, or memory.

A file is a row of frames `length, XXH3-64, bytes`; each frame is a serialised AppendRequest, OPEN first, END or ABORT
last. The whole episode is kept until its last frame is acknowledged, so that it can be sent again from any place.
A file that a dead producer left without an END is sent as OPEN and ABORT: half an episode teaches nobody.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path

from ramp.errors import Full
from ramp.replay import durable
from ramp.replay.checksum import checksum
from ramp.replay.ownership import own
from services.common.metrics import SPOOL_BYTES, SPOOL_EPISODES

logger = logging.getLogger(__name__)

HEAD = struct.Struct("<QQ")
MAX_FRAME = 2**30
KEEP_REFUSED = 16  # files of refused episodes, for whoever looks into it


class Parcel:
    """The frames of one episode. Frames are added by the producer, read and disposed of by the sender."""

    def __init__(self, episode_id: str, path: Path | None = None) -> None:
        """A `path` makes it a file, which must not exist yet. Raises OSError."""
        self.episode_id, self._path = episode_id, path
        self._memory: list[bytes] = []
        self._places: list[tuple[int, int]] = []  # offset of the bytes, length
        self._fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640) if path else -1
        self._last = -1  # number of the last frame, once that is known
        self._lock = threading.Lock()  # between adding and disposing
        self._gone = self._failed = False
        self.size = 0
        self.offered = 0  # frames that some connection of this process has sent

    @property
    def closed(self) -> bool:
        """Whether the last frame has been added."""
        return 0 <= self._last == len(self) - 1

    @classmethod
    def load(cls, path: Path) -> Parcel:
        """A parcel that an earlier process left; a torn last frame is cut off. Raises OSError."""
        parcel = cls(path.stem.partition("-")[2])
        parcel._path, parcel._fd = path, os.open(path, os.O_RDWR)
        data = path.read_bytes()
        while parcel.size + HEAD.size <= len(data):
            length, check = HEAD.unpack_from(data, parcel.size)
            begin = parcel.size + HEAD.size
            fits = 0 < length <= MAX_FRAME and begin + length <= len(data)
            if not fits or checksum(data[begin : begin + length]) != check:
                break
            parcel._places.append((begin, length))
            parcel.size = begin + length
        os.ftruncate(parcel._fd, parcel.size)
        return parcel

    def __len__(self) -> int:
        return len(self._memory) or len(self._places)

    def add(self, frame: bytes, *, last: bool = False) -> None:
        """Raises Full where the disk has no room; then nothing of the frame is left.

        Nothing is added to a parcel that was refused or acknowledged meanwhile.
        """
        with self._lock:
            if not self._gone:
                self._add(frame, last)

    def _add(self, frame: bytes, last: bool) -> None:
        place = self._write(frame, last) if self._fd >= 0 else 0
        self.size += len(frame) + HEAD.size
        SPOOL_BYTES.inc(len(frame) + HEAD.size)
        if last:
            self._last = len(self)
        if self._fd >= 0:
            self._places.append((place, len(frame)))
        else:
            self._memory.append(frame)

    def finish(self) -> None:
        """The last frame is the one that was added last (of a parcel that was loaded)."""
        self._last = len(self) - 1

    def _write(self, frame: bytes, last: bool) -> int:
        try:
            data = memoryview(HEAD.pack(len(frame), checksum(frame)) + frame)
            place = self.size
            while data:
                written = os.pwrite(self._fd, data, place)
                data, place = data[written:], place + written
            if last:
                self._sync()
        except OSError as error:
            with contextlib.suppress(OSError):  # the next frame is written to the same place all the same
                os.ftruncate(self._fd, self.size)
            raise Full(f"the spool cannot be written: {error}") from error
        return self.size + HEAD.size

    def _sync(self) -> None:
        """An episode counts from its END on; before that, a power cut may have it. An fsync that fails is final: the
        kernel may have dropped what earlier frames wrote, and the next fsync would not tell."""
        if self._failed:
            raise OSError(errno.EIO, "an fsync of this episode has failed")
        self._failed = True
        os.fsync(self._fd)
        self._failed = False

    def frame(self, number: int) -> bytes:
        if self._fd < 0:
            return self._memory[number]
        offset, length = self._places[number]
        return os.pread(self._fd, length, offset)

    def discard(self) -> None:
        """Acknowledged: nothing of it is needed any more."""
        self._release()
        if self._path:
            self._path.unlink(missing_ok=True)

    def set_aside(self) -> None:
        """Refused: keep the file under another name, and only the newest few of such files."""
        self._release()
        if self._path:
            with contextlib.suppress(FileNotFoundError):
                self._path.rename(self._path.with_suffix(".refused"))
            for old in sorted(self._path.parent.glob("*.refused"))[:-KEEP_REFUSED]:
                old.unlink(missing_ok=True)

    def _release(self) -> None:
        with self._lock:
            self._gone = True
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = -1


class Spool:
    """Parcels in the order in which they were opened, within a bound of bytes. Thread-safe."""

    def __init__(self, directory: Path | None, max_bytes: int) -> None:
        """Without a directory everything stays in memory and dies with the process."""
        self._directory, self.max_bytes = directory, max_bytes
        self._lock = threading.Lock()
        self._guard, self._closed = -1, False
        self._number = 0
        self.parcels: list[Parcel] = []
        if directory:
            durable.make_directory(directory)
            self._guard = own(directory)
            self._load(directory)

    def _load(self, directory: Path) -> None:
        for path in sorted(directory.glob("*.spool")):
            self._number = max(self._number, int(path.stem.partition("-")[0]))
            parcel = Parcel.load(path)
            if len(parcel):
                self._keep(parcel)
                SPOOL_BYTES.inc(parcel.size)
            else:
                parcel.discard()

    def open(self, episode_id: str, *, kept: bool = True) -> Parcel:
        """A new parcel behind the others; in memory only where it need not be `kept` on disk. Raises Full."""
        with self._lock:
            self._number += 1
            directory = self._directory if kept else None
            try:
                parcel = Parcel(episode_id, directory / f"{self._number:08d}-{episode_id}.spool" if directory else None)
                if directory:
                    durable.sync(directory)
            except OSError as error:
                raise Full(f"the spool cannot be written: {error}") from error
            self._keep(parcel)
            return parcel

    def _keep(self, parcel: Parcel) -> None:
        self.parcels.append(parcel)
        SPOOL_EPISODES.inc()

    @property
    def size(self) -> int:
        """Bytes that wait."""
        with self._lock:
            return sum(parcel.size for parcel in self.parcels)

    def room_for(self, count: int) -> bool:
        return self.size + count <= self.max_bytes

    def close(self) -> None:
        """Leave what waits to whoever opens the directory next."""
        if not self._closed:
            SPOOL_BYTES.dec(self.size)
            SPOOL_EPISODES.dec(len(self.parcels))
        self._closed = True
        if self._guard >= 0:
            os.close(self._guard)
            self._guard = -1

    def remove(self, parcel: Parcel, dispose: Callable[[Parcel], None]) -> None:
        with self._lock:
            if parcel in self.parcels:
                self.parcels.remove(parcel)
                dispose(parcel)
                SPOOL_BYTES.dec(parcel.size)
                SPOOL_EPISODES.dec()
