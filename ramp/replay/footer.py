"""What a sealed segment ends with: all that a server needs to know of it, but for the pixels.

    records   a row per record: what it says of itself, where it lies
    steps     the steps of all its batches in order, without pictures
    frames    a row per frame: its row among those steps, and of each camera where its bytes begin and how many they are
    trailer   32 bytes: place of the footer (uint64), its length (uint64), its XXH3-64 (uint64), SEALED or HURT

The first three are Arrow IPC streams, one behind the other. They stand behind the segment's own end-of-stream mark, so
that readers of the segment never see them. HURT says that a record was found damaged since: the footer is not to be
believed, and the segment is to be scanned.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.replay.checksum import checksum
from ramp.replay.columns import IMAGE_PREFIX, numbers_from_arrow, slice_steps
from ramp.replay.growing import Growing
from ramp.replay.record import Extent, Mark, Position, Record, Size
from ramp.types import StepBatch

TRAILER = struct.Struct("<QQQ8s")
SEALED, HURT = b"RAMPSEAL", b"RAMPHURT"
NOT_ONE = (
    pa.ArrowException,
    OSError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)  # what Arrow makes of other bytes
RECORDS = pa.schema(
    [
        ("kind", pa.string()),
        ("episode", pa.string()),
        ("number", pa.int64()),
        ("note", pa.string()),
        ("digest", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("steps", pa.int64()),
        ("frames", pa.int64()),
        ("timestamp", pa.float64()),
    ]
)


class FooterWriter:
    """The footer of one segment, gathered while it grows. Nothing in it holds on to the rows that were added."""

    def __init__(self, columns: pa.Schema) -> None:
        self._names = [name for name in columns.names if not name.startswith(IMAGE_PREFIX)]
        self._cameras = [name for name in columns.names if name.startswith(IMAGE_PREFIX)]
        self._sink = pa.BufferOutputStream()
        self._steps = pa.ipc.new_stream(self._sink, pa.schema([columns.field(name) for name in self._names]))
        self._records: list[tuple[object, ...]] = []
        self._rows, self._places = Growing(np.int64), Growing(np.int64, (len(self._cameras), 2))
        self._count = 0

    def add(self, record: Record, rows: pa.RecordBatch, shown: np.ndarray, places: np.ndarray) -> None:
        """`shown` int64 [F]: rows with frames; `places` int64 [F, cameras, 2]: byte in the file and bytes of each."""
        mark, position, extent = record.mark, record.position, record.extent
        said = (mark.kind, mark.episode_id, mark.number, mark.note, mark.digest)
        lies = (position.offset, position.length)
        self._records.append((*said, *lies, extent.steps, extent.frames, extent.timestamp))
        if rows.num_rows:
            self._steps.write_batch(rows.select(self._names))
            self._rows.append(self._count + shown)
            self._places.append(places)
            self._count += rows.num_rows

    def finish(self, begin: int) -> list[pa.Buffer | bytes]:
        """The footer and its trailer, for a file that has `begin` bytes before them."""
        self._steps.close()
        columns: Iterable[tuple[object, ...]] = zip(*self._records, strict=True)
        columns = columns if self._records else [()] * len(RECORDS)
        arrays = [pa.array(list(column), kind) for column, kind in zip(columns, RECORDS.types, strict=True)]
        records = pa.RecordBatch.from_arrays(arrays, schema=RECORDS)
        parts = [_stream(records), self._sink.getvalue(), _stream(self._frames())]
        trailer = TRAILER.pack(begin, sum(part.size for part in parts), checksum(*parts), SEALED)
        return [*parts, trailer]

    def _frames(self) -> pa.RecordBatch:
        named = {"row": self._rows.view}
        for number, camera in enumerate(self._cameras):
            named[camera], named[f"{camera} bytes"] = self._places.view[:, number].T
        return pa.RecordBatch.from_pydict({name: pa.array(np.ascontiguousarray(each)) for name, each in named.items()})


def _stream(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


class Footer:
    """A footer that was read and found whole."""

    def __init__(self, segment: str, data: bytes, size: Size) -> None:
        """Raises what NOT_ONE names where it was not written by a FooterWriter."""
        self.size, self._segment, source = size, segment, pa.BufferReader(data)
        self._records, steps, frames = (pa.ipc.open_stream(source).read_all() for _ in range(3))
        _check(self._records, steps, frames, size.records)
        self._ends = np.cumsum(self._records["steps"].to_numpy())
        self._places = _places(frames)
        rows = frames["row"].to_numpy().astype(np.int32)
        found = steps.combine_chunks().to_batches()
        self._steps = numbers_from_arrow(found[0], rows) if found else None
        self._frame_ends = np.cumsum(self._records["frames"].to_numpy())
        self._row_of = {offset: row for row, offset in enumerate(self._records["offset"].to_pylist())}

    def records(self) -> Iterator[Record]:
        """In order."""
        columns = (column.to_pylist() for column in self._records.columns)
        for kind, episode_id, number, note, digest, offset, length, *extent in zip(*columns, strict=True):
            mark = Mark(kind=kind, episode_id=episode_id, number=number, note=note, digest=digest)
            yield Record(mark, Position(self._segment, offset, length), Extent(*extent))

    def numbers(self, offset: int) -> tuple[StepBatch, np.ndarray]:
        """The steps of the batch at `offset` without images, and where its frames lie: int64 [F, cameras, 2]."""
        row = self._row_of[offset]
        begin, first = (int(ends[row - 1]) if row else 0 for ends in (self._ends, self._frame_ends))
        assert self._steps is not None
        steps = slice_steps(self._steps, begin, int(self._ends[row]))
        return steps, self._places[first : int(self._frame_ends[row])]


def _check(records: pa.Table, steps: pa.Table, frames: pa.Table, size: int) -> None:
    """Do the three say the same, of a segment with `size` bytes of records? Raises ArrowException, ValueError."""
    for table in (records, steps, frames):
        table.validate(full=True)
        if any(column.null_count for column in table.columns):
            raise ValueError("a footer with holes")
    if records.schema != RECORDS or frames.column_names[:1] != ["row"] or set(frames.schema.types) != {pa.int64()}:
        raise ValueError("the columns of a footer are others")
    ends = {}
    for name, bound in (("steps", steps.num_rows), ("frames", frames.num_rows)):
        counts = records[name].to_numpy()
        ends[name] = np.cumsum(counts)
        if not _within(counts, bound) or counts.sum() != bound:
            raise ValueError(f"a footer's {name} are not as many as it says")
    rows, places = frames["row"].to_numpy(), _places(frames)
    if not (_within(rows, steps.num_rows - 1) and (np.diff(rows) > 0).all() and _within(places, size)):
        raise ValueError("a footer's frames lie elsewhere")
    if (np.searchsorted(rows, ends["steps"]) != ends["frames"]).any():
        raise ValueError("a footer's frames belong to other records")
    offset, length = records["offset"].to_numpy(), records["length"].to_numpy()
    if not (_within(offset, size) and _within(length, size) and (places.sum(axis=2) <= size).all()):
        raise ValueError("a footer's records lie elsewhere")


def _within(values: np.ndarray, bound: int) -> bool:
    """Whether all are from 0 to `bound`."""
    return not len(values) or bool(values.min() >= 0 and values.max() <= bound)


def _places(frames: pa.Table) -> np.ndarray:
    columns = [frames[name].to_numpy() for name in frames.column_names[1:]]
    return np.stack(columns, axis=1).reshape(frames.num_rows, len(columns) // 2, 2)


def read_trailer(tail: bytes, size: int) -> tuple[int, int, int, bytes] | None:
    """Place, length, XXH3-64 and state of the footer of a file of `size` bytes that ends with `tail`; None where it has
    none."""
    if len(tail) < TRAILER.size:
        return None
    begin, length, check, state = TRAILER.unpack(tail[-TRAILER.size :])
    fits = begin + length + TRAILER.size == size
    return (begin, length, check, state) if fits and state in (SEALED, HURT) else None


def read_footer(path: Path) -> Footer | None:
    """None where there is none, or it is not to be believed. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, TRAILER.size, max(size - TRAILER.size, 0))
        found = read_trailer(tail, size)
        if found is None or found[3] != SEALED:
            return None
        data = os.pread(descriptor, found[1], found[0])
    finally:
        os.close(descriptor)
    if checksum(data) != found[2]:
        return None
    try:
        return Footer(path.name, data, Size(size, found[0]))
    except NOT_ONE:
        return None


def mark_hurt(path: Path) -> None:
    """Have a sealed segment scanned from the next start on; durable when it returns. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, HURT, os.fstat(descriptor).st_size - len(HURT))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
