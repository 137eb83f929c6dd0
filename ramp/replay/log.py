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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.errors import Corrupt, Full, Unavailable
from ramp.replay import durable
from ramp.replay.columns import step_columns
from ramp.replay.notes import columns_from_note
from ramp.replay.segment import Damage, Mark, Position, Record, SegmentWriter, edition, newest, scan

logger = logging.getLogger(__name__)

SEGMENT_BYTES = 64 * 2**20
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
        self._dirty: set[SegmentWriter] = set()
        self._retired: list[SegmentWriter] = []
        self._maps: dict[str, np.ndarray] = {}
        self._leaving: list[str] = []  # segments dropped since the last sweep, which somebody may be reading
        self._gone: list[str] = []  # those dropped before it
        self._written = self._synced = 0
        self._failure = ""
        self.damaged = 0  # ranges that were found unreadable and not merely torn
        self.syncs = 0
        durable.make_directory(directory)
        self._number = max((edition(path.name)[0] for path in self._paths()), default=0)

    def _paths(self) -> list[Path]:
        return sorted(self._directory.glob("[!.]*.arrows"), key=lambda path: edition(path.name))

    # -------------------------------------------------------------------------------------------- start

    def recover(self) -> Iterator[Record]:
        """Every readable record, oldest segment first. Cuts torn tails; sets damaged ranges aside and goes on.

        What is found may have been written and not fsynced before a kill; from here on it counts as acknowledged, so
        it is fsynced now. Raises OSError.
        """
        with durable.where_writable():
            self._drop_superseded()
        for path in newest(self._directory):
            for found in scan(path):
                if isinstance(found, Record):
                    yield found
                elif found.torn:
                    with durable.where_writable():
                        self._cut(path, found)
                else:
                    self._quarantine(path, found)
            if path.exists():
                with durable.where_writable():
                    durable.sync(path)
        with durable.where_writable():
            durable.sync(self._directory)

    def _drop_superseded(self) -> None:
        """What a crash left of a rewriting: a half-written edition, or the one that it was made of."""
        kept = newest(self._directory)
        for path in [*self._directory.glob(".*.arrows"), *self._paths()]:
            if path not in kept:
                path.unlink()

    def _cut(self, path: Path, tail: Damage) -> None:
        """What a crash left of a record that was never acknowledged. A copy is kept all the same."""
        logger.warning("%s: torn tail of %d bytes cut (%s)", path.name, tail.end - tail.offset, tail.reason)
        self._set_aside(path, tail)
        if tail.offset == 0:
            path.unlink()
            return
        with path.open("r+b") as file:
            file.truncate(tail.offset)
            os.fsync(file.fileno())

    def _quarantine(self, path: Path, damage: Damage) -> None:
        """Report and copy; the segment itself stays as it is, and is skipped there."""
        self.damaged += 1
        size = damage.end - damage.offset
        logger.error("%s: %d bytes at %d unreadable (%s)", path.name, size, damage.offset, damage.reason)
        self._set_aside(path, damage)

    def _set_aside(self, path: Path, damage: Damage) -> None:
        """A copy of the bytes for whoever investigates."""
        place = self._directory / "quarantine" / f"{path.stem}-{damage.offset}.bin"
        try:
            place.parent.mkdir(exist_ok=True)
            with path.open("rb") as file:
                file.seek(damage.offset)
                place.write_bytes(file.read(damage.end - damage.offset))
        except OSError as error:
            logger.error("could not copy the damaged bytes: %s", error)

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
            writer = SegmentWriter(self._directory / f"{self._number + 1:06d}.arrows", columns)
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
        """A full segment: the next sync makes it durable and closes it (another thread may be in its fsync now)."""
        writer.finish()
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
                    writer.close()
            except OSError as error:
                with self._lock:
                    self._fail(error)
                raise Unavailable(self._failure) from error
            self._synced = target
            self.syncs += 1

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
            return data

    def disk_bytes(self) -> int:
        return sum(path.stat().st_size for path in self._paths())

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

    def sealed(self) -> dict[str, int]:
        """Bytes of every segment that nobody writes to any more, by name."""
        with self._lock:
            writing = {writer.path.name for writer in (*self._open.values(), *self._retired)}
            return {path.name: path.stat().st_size for path in self._paths() if path.name not in writing}

    def rewrite(self, segment: str, keep: Callable[[Mark], bool]) -> dict[Position, Position]:
        """A new edition of a sealed segment with the records that `keep` says; where each of them went.

        Durable when it returns, and the old edition is still there: `drop` it once nothing points to it. Raises
        OSError.
        """
        path, (number, present) = self._directory / segment, edition(segment)
        records = [found for found in scan(path) if isinstance(found, Record) and keep(found.mark)]
        if not records:
            return {}
        with pa.memory_map(str(path)) as file:
            columns = pa.ipc.open_stream(file).schema
        name = f"{number:06d}-{present + 1}.arrows"
        hidden = self._directory / f".{name}"
        hidden.unlink(missing_ok=True)
        moved = self._copy(records, hidden, columns)
        hidden.rename(self._directory / name)
        durable.sync(self._directory)
        return {old: Position(name, new.offset, new.length) for old, new in moved.items()}

    def _copy(self, records: Sequence[Record], target: Path, columns: pa.Schema) -> dict[Position, Position]:
        writer, moved = SegmentWriter(target, columns), {}
        try:
            for record in records:
                batch, _ = self.read(record.position, columns)
                moved[record.position] = writer.append(record.mark, batch if batch.num_rows else None)
            writer.finish()
            writer.sync()
        except OSError:
            target.unlink(missing_ok=True)
            raise
        finally:
            writer.close()
        return moved

    def drop(self, segment: str) -> None:
        """Remove a segment's file. Who reads from it may go on until the second `sweep` from now."""
        self.mapped(segment)
        with self._map_lock:
            self._leaving.append(segment)
        (self._directory / segment).unlink()

    def sweep(self) -> None:
        """Let go of the memory of segments that were dropped before the last sweep."""
        with self._map_lock:
            for segment in self._gone:
                self._maps.pop(segment, None)
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
