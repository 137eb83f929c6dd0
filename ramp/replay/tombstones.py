"""Which episodes were deleted, why and when: what outlives their steps, so that no producer can bring them back.

One line a deletion, `crc32 {json}`, appended and fsynced before anything of the episode is forgotten.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ramp.replay import durable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tombstone:
    """Example: Tombstone(episode_id="arm-3-17", reason="a person was in the picture", deleted_at=1.76e9)"""

    episode_id: str
    reason: str
    deleted_at: float  # seconds since 1970


class Tombstones:
    """The file and what it says. Not thread-safe; `ramp.replay.store.Store` serialises its callers."""

    def __init__(self, path: Path) -> None:
        """Reads the file, and changes nothing. Raises OSError."""
        self._path, self._size = path, 0
        self.damaged = 0  # lines that are not as they were written; what they deleted is served again
        self._known: dict[str, Tombstone] = {}
        if path.exists():
            self._load(path.read_bytes())

    def _load(self, data: bytes) -> None:
        whole, end, _ = data.rpartition(b"\n")  # behind it lies what a crash left of a line that nobody was promised
        self._size = len(whole) + len(end)
        for number, line in enumerate(whole.split(b"\n") if whole else (), start=1):
            try:
                stone = _read(line)
            except (ValueError, TypeError, RecursionError) as error:
                self.damaged += 1
                logger.error("%s, line %d: %s; that deletion is lost", self._path, number, error)
            else:
                self._known[stone.episode_id] = stone

    def secure(self) -> None:
        """What was read counts from here on, though the process that wrote it may have been killed before its fsync."""
        if self._path.exists():
            with durable.where_writable():
                durable.sync(self._path)
                durable.sync(self._path.parent)

    def __contains__(self, episode_id: object) -> bool:
        return episode_id in self._known

    def __len__(self) -> int:
        return len(self._known)

    def __getitem__(self, episode_id: str) -> Tombstone:
        return self._known[episode_id]

    def __iter__(self) -> Iterator[Tombstone]:
        """Oldest first."""
        return iter(self._known.values())

    def add(self, stones: Mapping[str, Tombstone]) -> None:
        """Durable when it returns. Raises OSError where the disk refuses; then nothing was added."""
        data = b"".join(map(_line, stones.values()))
        with self._path.open("ab", buffering=0) as file:
            file.truncate(self._size)
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                file.truncate(self._size)
                raise
        durable.sync(self._path.parent)
        self._size += len(data)
        self._known.update(stones)


def _line(stone: Tombstone) -> bytes:
    text = json.dumps(asdict(stone), sort_keys=True).encode()
    return b"%d %b\n" % (zlib.crc32(text), text)


def _read(line: bytes) -> Tombstone:
    """Raises ValueError or TypeError for a line that is not as it was written."""
    given, _, text = line.partition(b" ")
    if int(given) != zlib.crc32(text):
        raise ValueError("the checksum disagrees")
    stone = Tombstone(**json.loads(text))
    if not (isinstance(stone.episode_id, str) and isinstance(stone.reason, str)):
        raise ValueError("an id or a reason that is no text")
    return stone
