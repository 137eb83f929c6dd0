"""Append-only segment files: Arrow IPC streams in which every record batch says whose it is and proves its bytes.

A record is one encapsulated IPC message. Its custom metadata carries

    kind      open, batch, end or abort (of an episode)
    episode   the episode's id
    number    the batch's number; of an END its place in the order of ENDs
    note      JSON: the header at open, the outcome at end
    digest    SHA-256 (16 bytes, hex) of the content, by which a repeated append is told from another one
    crc32     of all the above and of the columns' bytes

Any Arrow reader can open a segment. Torn tails and flipped bits are found by `scan`, which goes on behind them.
`glance` gives the same records without reading the frames: it trusts the bytes, and leaves the file as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.replay.columns import binary_offsets, present_rows

CONTINUATION = b"\xff\xff\xff\xff"
KINDS = ("open", "batch", "end", "abort")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What a record says of itself."""

    kind: str
    episode_id: str
    number: int = 0
    note: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record lies."""

    segment: str  # file name
    offset: int  # bytes
    length: int


@dataclass(frozen=True, slots=True)
class Record:
    mark: Mark
    position: Position


@dataclass(frozen=True, slots=True)
class Seen:
    """A record and its rows, which are views of the mapped file: columns that nobody asks for are never read."""

    mark: Mark
    position: Position
    rows: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Damage:
    """A range of a segment that cannot be read. `torn`: it only ends too early, as a crash leaves it."""

    offset: int
    end: int
    torn: bool
    reason: str


def content_buffers(batch: pa.RecordBatch) -> Iterator[memoryview]:
    """The bytes that mean something, in a form that is the same before writing and after reading."""
    for column in batch.columns:
        if pa.types.is_binary(column.type) or pa.types.is_string(column.type):
            yield np.packbits(present_rows(column), bitorder="little").data
            offsets, data = binary_offsets(column), column.buffers()[2]
            if data is not None:
                yield memoryview(data)[int(offsets[0]) : int(offsets[-1])]
            yield np.diff(offsets).data.cast("B")
        elif pa.types.is_boolean(column.type):
            yield np.packbits(column.to_numpy(zero_copy_only=False), bitorder="little").data
        else:
            flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
            yield np.ascontiguousarray(flat.to_numpy(zero_copy_only=True)).data.cast("B")


def digest(batch: pa.RecordBatch) -> str:
    """32 hexadecimal digits of the content."""
    hashed = hashlib.sha256()
    for view in content_buffers(batch):
        hashed.update(view)
    return hashed.hexdigest()[:32]


def checksum(mark: Mark, batch: pa.RecordBatch) -> int:
    text = "\0".join((mark.kind, mark.episode_id, str(mark.number), mark.note, mark.digest))
    value = zlib.crc32(text.encode())
    if batch.num_rows:
        for view in content_buffers(batch):
            value = zlib.crc32(view, value)
    return value


class _Sink:
    """Collects what Arrow writes, so that a record reaches the file in one call."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.position = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        self.parts.append(bytes(data))
        self.position += len(data)
        return len(data)

    def tell(self) -> int:
        return self.position

    def flush(self) -> None:
        """Nothing lies behind."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        parts, self.parts = self.parts, []
        return b"".join(parts)


class SegmentWriter:
    """One segment that grows. Not thread-safe; `ramp.replay.log.Log` serialises its callers."""

    def __init__(self, path: Path, columns: pa.Schema) -> None:
        """Creates the file, under a hidden name until its schema is safe: a segment that can be seen has one, whenever
        the power goes. Raises OSError where it cannot, leaving none."""
        self.path = path.with_name("." + path.name)
        self._sink = _Sink()
        self._empty = pa.RecordBatch.from_arrays([pa.array([], type=kind) for kind in columns.types], schema=columns)
        self._stream = pa.ipc.new_stream(pa.PythonFile(self._sink, mode="w"), columns)
        self._stream.write_batch(self._empty)  # Arrow holds the schema back until a first batch
        self._sink.take()
        self._fd = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o640)
        self.size = 0
        self.torn = False  # a record lies there in part, and nothing may be written behind it
        try:
            self._put(columns.serialize().to_pybytes())
            self.sync()
            self.path = self.path.rename(path)
        except OSError:
            self.discard()
            raise

    def append(self, mark: Mark, batch: pa.RecordBatch | None = None) -> Position:
        """Write one record (no fsync). Raises OSError where the disk refuses; then the file is as it was before."""
        rows = self._empty if batch is None else batch
        fields = {"kind": mark.kind, "episode": mark.episode_id, "number": str(mark.number), "note": mark.note}
        fields |= {"digest": mark.digest, "crc32": str(checksum(mark, rows))}
        self._stream.write_batch(rows, custom_metadata=fields)
        data, offset = self._sink.take(), self.size
        self._put(data)
        return Position(self.path.name, offset, len(data))

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self.torn = True  # unless what was written of it can be taken back
            os.ftruncate(self._fd, self.size)
            self.torn = False
            raise
        self.size += len(data)

    def sync(self) -> None:
        os.fsync(self._fd)

    def finish(self) -> None:
        """Write the end-of-stream mark, if there is room for it: readers do without it."""
        with contextlib.suppress(OSError):
            self._put(CONTINUATION + bytes(4))

    def close(self) -> None:
        os.close(self._fd)

    def discard(self) -> None:
        os.close(self._fd)
        self.path.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------ reading


def edition(name: str) -> tuple[int, int]:
    """Number and edition of a segment: (7, 0) of 000007.arrows, (7, 2) of 000007-2.arrows."""
    number, _, later = name.removesuffix(".arrows").partition("-")
    return int(number), int(later or 0)


def newest(directory: Path) -> list[Path]:
    """Of every segment there its newest edition, oldest segment first."""
    paths = sorted(directory.glob("[!.]*.arrows"), key=lambda path: edition(path.name))
    return list({edition(path.name)[0]: path for path in paths}.values())


_Marked = Callable[[pa.RecordBatch, "pa.KeyValueMetadata | None"], Mark]  # raises where a record cannot be used


def scan(path: Path) -> Iterator[Record | Damage]:
    """Every record of a segment in order, and every range that is not one. Reads and checks all bytes."""
    for found in _walk(path, _checked):
        yield found if isinstance(found, Damage) else Record(found.mark, found.position)


def glance(path: Path) -> Iterator[Seen]:
    """Every record of a segment in order, up to the last whole one: behind it a server may be writing.

    Reads what the records say of themselves, and of their rows what the caller touches; so checksums are not compared,
    and a flipped bit in a number goes unseen. May be called beside a running server.
    """
    return (found for found in _walk(path, _marked) if isinstance(found, Seen))


def _walk(path: Path, marked: _Marked) -> Iterator[Seen | Damage]:
    if path.stat().st_size == 0:
        yield Damage(0, 0, True, "empty file")
        return
    with pa.memory_map(str(path), "r") as file:
        whole = file.read_buffer()
        prefix = _schema_prefix(whole)
        if prefix is None:
            yield Damage(0, whole.size, False, "the schema cannot be read")
            return
        yield from _records(path.name, whole, prefix, marked)


def _records(name: str, whole: pa.Buffer, prefix: pa.Buffer, marked: _Marked) -> Iterator[Seen | Damage]:
    offset = prefix.size
    while offset < whole.size:
        reason = ""
        try:
            for mark, rows, length in _read(whole, prefix, offset, marked):
                yield Seen(mark, Position(name, offset, length), rows)
                offset += length
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            reason = str(error)[:200]
        if _at_end(whole, offset):
            return
        begin, offset = offset, _resync(whole, prefix, offset)
        torn = offset == whole.size and "checksum" not in reason and not _finished(whole)
        yield Damage(begin, offset, torn, reason or "the stream ends early")


def _schema_prefix(whole: pa.Buffer) -> pa.Buffer | None:
    source = pa.BufferReader(whole)
    try:
        pa.ipc.open_stream(source)
    except (pa.ArrowException, OSError):
        return None
    return whole.slice(0, source.tell())


def _read(
    whole: pa.Buffer, prefix: pa.Buffer, offset: int, marked: _Marked
) -> Iterator[tuple[Mark, pa.RecordBatch, int]]:
    """Records from `offset` on, with their lengths; raises where `marked` does."""
    if offset == prefix.size:
        source, shift = pa.BufferReader(whole), 0
    else:  # behind damage: an IPC stream begins with its schema, so the rest is copied behind it
        source, shift = pa.BufferReader(prefix.to_pybytes() + whole.slice(offset).to_pybytes()), offset - prefix.size
    reader = pa.ipc.open_stream(source)
    begin = offset - shift
    while True:
        try:
            batch, fields = reader.read_next_batch_with_custom_metadata()
        except StopIteration:
            return
        yield marked(batch, fields), batch, source.tell() - begin
        begin = source.tell()


def _checked(batch: pa.RecordBatch, fields: pa.KeyValueMetadata | None) -> Mark:
    """Raises where the record is not as it was written."""
    batch.validate(full=True)
    mark, crc32 = _said(fields)
    if crc32 != checksum(mark, batch):
        raise ValueError("checksum disagrees")
    return mark


def _marked(batch: pa.RecordBatch, fields: pa.KeyValueMetadata | None) -> Mark:
    """Raises where the columns do not fit into the record."""
    batch.validate()
    return _said(fields)[0]


def _said(fields: pa.KeyValueMetadata | None) -> tuple[Mark, int]:
    """What a record says of itself, and its CRC-32. Raises KeyError and ValueError where it says nothing useful."""
    texts = {key.decode(): value.decode() for key, value in (fields or {}).items()}
    mark = Mark(
        kind=texts["kind"],
        episode_id=texts["episode"],
        number=int(texts["number"]),
        note=texts["note"],
        digest=texts["digest"],
    )
    if mark.kind not in KINDS:
        raise ValueError(f"kind {mark.kind}")
    return mark, int(texts["crc32"])


def _at_end(whole: pa.Buffer, offset: int) -> bool:
    rest = whole.size - offset
    return rest == 0 or (rest == 8 and whole.slice(offset).to_pybytes() == CONTINUATION + bytes(4))


def _finished(whole: pa.Buffer) -> bool:
    """Whether the writer came to the end of the segment: then nothing of it can be torn."""
    return _at_end(whole, whole.size - 8)


def _resync(whole: pa.Buffer, prefix: pa.Buffer, offset: int) -> int:
    """The place of the next readable record behind `offset`, or the end of the file."""
    data = memoryview(whole)
    step = offset + 8 - offset % 8
    words = np.frombuffer(data[step : step + (whole.size - step) // 8 * 8], dtype=np.uint32).reshape(-1, 2)
    likely = (words[:, 0] == 0xFFFFFFFF) & (words[:, 1] > 0) & (words[:, 1] < 1 << 20) & (words[:, 1] % 8 == 0)
    for row in np.flatnonzero(likely):
        place = step + 8 * int(row)
        if _readable(whole, prefix, place):
            return place
    return whole.size


def _readable(whole: pa.Buffer, prefix: pa.Buffer, place: int) -> bool:
    try:
        pa.ipc.read_message(whole.slice(place))  # cheap; most places fail here
        return next(_read(whole, prefix, place, _checked), None) is not None
    except (pa.ArrowException, OSError, ValueError, KeyError):
        return False
