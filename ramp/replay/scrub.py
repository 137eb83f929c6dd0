"""Old bytes, read again: a bit that flipped on the disk is found while there may still be another copy of the episode.

A start believes the footers of sealed segments, so this is where their records are compared with their checksums. Bytes
are read into memory of the scrubber's own, not through the maps that samples are drawn from, and the kernel is told to
forget them, so that what is sampled stays cached.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa

from ramp.replay.footer import mark_hurt, read_footer
from ramp.replay.quarantine import Quarantine
from ramp.replay.record import Position, Record
from ramp.replay.segment import read_one, schema_message


class Scrubber:
    """Goes through sealed segments, oldest first, and begins again. Not thread-safe."""

    def __init__(self, directory: Path, quarantine: Quarantine) -> None:
        self._directory, self._quarantine = directory, quarantine
        self._round: Iterator[tuple[int, Position | None]] | None = None

    def turn(self, sealed: Collection[str], budget: int) -> tuple[int, list[Position]]:
        """As `Log.scrub`; `sealed` are the segments that a new round goes through."""
        hurt: list[Position] = []
        done = 0
        self._round = self._round or self._walk(sorted(sealed))
        for length, damaged in self._round:
            done += length
            hurt += [damaged] if damaged else []
            if done >= budget:
                return done, hurt
        self._round = None
        return done, hurt

    def _walk(self, segments: Collection[str]) -> Iterator[tuple[int, Position | None]]:
        """Bytes of each record, and its place where it is damaged."""
        for segment in segments:
            path = self._directory / segment
            try:
                footer, descriptor = read_footer(path), os.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue  # written again meanwhile
            try:
                for record in footer.records() if footer else ():
                    position, reason = record.position, _objection(path, descriptor, record)
                    if reason:
                        mark_hurt(path)
                        self._quarantine.report(path, position.offset, position.offset + position.length, reason)
                    yield position.length, position if reason else None
            finally:
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)


def _objection(path: Path, descriptor: int, record: Record) -> str:
    """Why the record is not what its footer says; empty where it is. Raises OSError."""
    prefix, position = schema_message(path), record.position
    if not prefix:
        return "the segment's schema cannot be read"
    data = bytearray(len(prefix) + position.length)
    data[: len(prefix)] = prefix
    got = os.preadv(descriptor, [memoryview(data)[len(prefix) :]], position.offset)
    if got != position.length:
        return f"{got} of {position.length} bytes are left"
    try:
        return "" if read_one(pa.py_buffer(data)) == record.mark else "checksum disagrees"
    except (pa.ArrowException, ValueError, KeyError, StopIteration) as error:
        return str(error)[:200] or "no record there"
