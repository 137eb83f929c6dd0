"""The log of segments: written in order, fsynced in groups, mapped for reading, checked at start.

    append(...) -> (position, ticket)     under a lock, into the page cache
    sync(ticket)                          returns when that record is on the disk; one fsync serves all who wait

A full disk refuses the append and leaves the files as they were. A failed fsync is final (the kernel may have dropped
the pages), and so is part of a record that cannot be taken back: from then on the log refuses to write, and the process
must start again from what the disk holds. On a disk that is read-only by then it starts, reads and refuses appends.
"""

from __future__ import annotations

import errno
import logging
import mmap
import os
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.errors import Corrupt, Full, Unavailable
from ramp.replay import durable
from ramp.replay.columns import step_columns
from ramp.replay.footer import read_footer
from ramp.replay.notes import columns_from_note
from ramp.replay.pen import Stage
from ramp.replay.quarantine import Quarantine
from ramp.replay.record import Mark, Position, Seen, Size
from ramp.replay.recovery import Recovery
from ramp.replay.scrub import Scrubber
from ramp.replay.segment import Damage, SegmentWriter, edition, scan

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 64 * 2**20
MAPS = 4096  # segments mapped at the same time
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Log:
    """Segments `000001.arrows`, `000002.arrows` ... of one directory. Thread-safe.

    One segment per set of columns is open at a time. After a start nothing is appended to older segments. A sealed one
    may be written again without what was deleted, as `000001-1.arrows`; the older edition goes when nobody needs it.
    """

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory, self._segment_bytes = directory, segment_bytes
        self._lock, self._sync_lock, self._map_lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._open: dict[str, SegmentWriter] = {}
        self._stage = Stage()
        self._dirty: set[SegmentWriter] = set()
        self._retired: list[SegmentWriter] = []
        self._sealed: dict[str, Size] = {}
        self._maps: dict[str, np.ndarray] = {}
        self._leaving: list[str] = []  # segments dropped since the last sweep, which somebody may be reading
        self._gone: list[str] = []  # those dropped before it
        self._written = self._synced = 0
        self._failure = ""
        self.syncs = 0
        self._quarantine = Quarantine(directory)
        self._scrubber = Scrubber(directory, self._quarantine)
        durable.make_directory(directory)
        self._number = max((edition(path.name)[0] for path in self._paths()), default=0)

    def _paths(self) -> list[Path]:
        return sorted(self._directory.glob("[!.]*.arrows"), key=lambda path: edition(path.name))

    @property
    def damaged(self) -> int:
        """Ranges that were found unreadable and not merely torn."""
        return self._quarantine.damaged

    def recover(self) -> Recovery:
        """What there is already, for a start: to be gone through before the first append."""
        return Recovery(self._directory, self._quarantine, self._sealed)

    def scrub(self, budget: int) -> tuple[int, list[Position]]:
        """Compare the next `budget` bytes of sealed segments, or a record more, with their checksums: how many were
        read, and the records that are not as they were written. Fewer were read where a round through all segments has
        ended; the next call begins another. Raises OSError."""
        return self._scrubber.turn(list(self._sealed), budget)

    # ------------------------------------------------------------------------------------------ writing

    def append(self, columns_note: str, mark: Mark, batch: pa.RecordBatch | None = None) -> tuple[Position, int]:
        """Write a record of an episode whose steps have those columns (ramp/replay/notes.py).

        Raises Full where there is no room (nothing is left of the record), Unavailable for good after a failed fsync.
        """
        with self._lock:
            if self._failure:
                raise Unavailable(self._failure)
            writer = None
            try:
                writer = self._writer(columns_note)
                position = writer.append(mark, batch)
            except OSError as error:
                if writer is not None and writer.torn:
                    self._fail(error)
                raise _refusal(error) from error
            self._dirty.add(writer)
            self._written += 1
            return position, self._written

    def _writer(self, key: str) -> SegmentWriter:
        writer = self._open.get(key)
        if writer is not None and writer.size >= self._segment_bytes:
            self._retire(self._open.pop(key))
            writer = None
        if writer is None:
            schema, thoughts = columns_from_note(key)
            columns = step_columns(schema, thoughts=thoughts).with_metadata({"ramp.schema": key, "ramp.format": "1"})
            writer = SegmentWriter(self._directory / f"{self._number + 1:06d}.arrows", columns, self._stage)
            self._number += 1
            self._name(writer)
            self._open[key] = writer
        return writer

    def _name(self, writer: SegmentWriter) -> None:
        """Make a new segment's name durable before anything is written to it."""
        try:
            durable.sync(self._directory)
        except OSError:
            writer.close()
            raise

    def _retire(self, writer: SegmentWriter) -> None:
        """A full segment: the next sync makes it durable, seals and closes it (another thread may be in its fsync)."""
        self._dirty.add(writer)
        self._retired.append(writer)

    def sync(self, ticket: int) -> None:
        """Wait until the record of `ticket` is on the disk. Raises Unavailable where the disk fails."""
        with self._sync_lock:
            if self._synced >= ticket:
                return
            with self._lock:
                if self._failure:
                    raise Unavailable(self._failure)
                target, dirty = self._written, list(self._dirty)
                retired, self._retired = self._retired, []
                self._dirty.clear()
            try:
                for writer in dirty:
                    writer.sync()
                for writer in retired:
                    self._seal(writer)
            except OSError as error:
                with self._lock:
                    self._fail(error)
                raise Unavailable(self._failure) from error
            self._synced = target
            self.syncs += 1

    def _seal(self, writer: SegmentWriter) -> None:
        """Of a segment whose records are durable."""
        writer.seal()
        writer.close()
        with self._lock:
            self._sealed[writer.path.name] = Size(writer.size, writer.record_bytes)

    def _fail(self, error: OSError) -> None:
        self._failure = f"the disk failed ({error}); the replay server must be restarted"
        logger.critical(self._failure)

    @property
    def failed(self) -> bool:
        return bool(self._failure)

    # ------------------------------------------------------------------------------------------ reading

    def read(self, position: Position, columns: pa.Schema) -> tuple[pa.RecordBatch, int]:
        """The rows of a record as views of the mapped file, and the address in memory of the file's first byte.

        Raises Corrupt.
        """
        data = self.mapped(position.segment, position.offset + position.length)
        try:
            message = pa.ipc.read_message(pa.py_buffer(data[position.offset : position.offset + position.length]))
            return pa.ipc.read_record_batch(message, columns), data.ctypes.data
        except (pa.ArrowException, OSError) as error:
            raise Corrupt(f"{position.segment} at {position.offset}: {error}") from error

    def mapped(self, segment: str, size: int = 0) -> np.ndarray:
        """uint8 [at least `size`]: the bytes of a segment. Older, shorter maps stay valid for who holds them."""
        with self._map_lock:
            data = self._maps.get(segment)
            if data is None or len(data) < size:
                with (self._directory / segment).open("rb") as file:
                    data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
                self._maps[segment] = data
                self._unmap_oldest()
            return data

    def _unmap_oldest(self) -> None:
        """The kernel bounds maps and open files; who reads from one that goes here holds on to it."""
        kept = {*self._leaving, *self._gone}  # whose files are gone: they could not be mapped again
        for segment in list(islice((name for name in self._maps if name not in kept), max(0, len(self._maps) - MAPS))):
            del self._maps[segment]

    def disk_bytes(self) -> int:
        with self._lock:
            open_ones = sum(writer.size for writer in (*self._open.values(), *self._retired))
            return open_ones + sum(size.file for size in self._sealed.values())

    # ----------------------------------------------------------------------------------------- keeping

    def seal(self) -> list[Path]:
        """Close what is open, durably; every segment there is. Later appends begin new ones. Raises Unavailable."""
        with self._lock:
            for key in list(self._open):
                self._retire(self._open.pop(key))
            self._written += 1
            ticket, paths = self._written, self._paths()
        self.sync(ticket)
        return paths

    def sealed(self) -> dict[str, Size]:
        """Every segment that nobody writes to any more, by name."""
        with self._lock:
            return dict(self._sealed)

    def rewrite(self, segment: str, keep: Callable[[Mark], bool]) -> dict[Position, Position]:
        """A new edition of a sealed segment with the records that `keep` says; where each of them went.

        Durable when it returns, and the old edition is still there: `drop` it once nothing points to it. Raises
        OSError, and Corrupt where a record is damaged that `scrub` has not reported yet.
        """
        path, (number, present) = self._directory / segment, edition(segment)
        found = list(scan(path))
        if any(isinstance(each, Damage) for each in found) and read_footer(path) is not None:
            raise Corrupt(f"{segment}: bytes are damaged; it is left as it is until they were reported")
        records = [each for each in found if isinstance(each, Seen) and keep(each.mark)]
        if not records:
            return {}
        with pa.memory_map(str(path)) as file:
            columns = pa.ipc.open_stream(file).schema
        name = f"{number:06d}-{present + 1}.arrows"
        hidden = self._directory / f".{name}"
        hidden.unlink(missing_ok=True)
        moved, size = self._copy(records, hidden, columns)
        hidden.rename(self._directory / name)
        durable.sync(self._directory)
        with self._lock:
            self._sealed[name] = size
        return {old: Position(name, new.offset, new.length) for old, new in moved.items()}

    def _copy(self, records: Sequence[Seen], target: Path, columns: pa.Schema) -> tuple[dict[Position, Position], Size]:
        writer, moved = SegmentWriter(target, columns, Stage()), {}
        try:
            for record in records:
                batch, _ = self.read(record.position, columns)
                moved[record.position] = writer.append(record.mark, batch if batch.num_rows else None)
            writer.sync()
            writer.seal()
        except OSError:
            target.unlink(missing_ok=True)
            raise
        finally:
            writer.close()
        return moved, Size(writer.size, writer.record_bytes)

    def drop(self, segment: str) -> None:
        """Take a segment away. Who reads from it may go on until the second `sweep` from now: here from its map, in
        another process from the file, which has a dot before its name until then."""
        self.mapped(segment)
        with self._map_lock:
            self._leaving.append(segment)
        with self._lock:
            self._sealed.pop(segment, None)
        (self._directory / segment).rename(self._directory / f".{segment}")

    def sweep(self) -> None:
        """Let go of segments that were dropped before the last sweep, of their memory and of their bytes on disk."""
        with self._map_lock:
            for segment in self._gone:
                self._maps.pop(segment, None)
                (self._directory / f".{segment}").unlink(missing_ok=True)
            self._gone, self._leaving = self._leaving, []

    def close(self) -> None:
        """fsync and close what is open; later appends get Unavailable."""
        if not self._failure:
            self.seal()
        self._failure = self._failure or "the log is closed"


def _refusal(error: OSError) -> Full | Unavailable:
    if error.errno in NO_ROOM:
        return Full(f"no room for an append ({os.strerror(error.errno)}); reads go on; free some space and try again")
    return Unavailable(f"the disk refuses to write: {error}")
