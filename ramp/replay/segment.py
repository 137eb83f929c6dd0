"""Append-only segment files: Arrow IPC streams in which every record batch says whose it is and proves its bytes.

    [schema] record* [end-of-stream mark, footer, trailer]

A record is one encapsulated IPC message. Its custom metadata carries

    kind      open, batch, end or abort (of an episode)
    episode   the episode's id
    number    the batch's number; of an END its place in the order of ENDs
    note      JSON: the header at open, the outcome at end
    digest    of a batch: XXH3-128 (hex) of its columns, by which a repeated append is told from another one
    check     XXH3-64 of all the above; so a batch's bytes are proved by its digest, which is read once for both uses

What is in brackets behind the records is there once the segment is sealed (ramp/replay/footer.py): a start then reads
the footer instead of the records. Any Arrow reader can open a segment, sealed or not. Torn tails and flipped bits are
found by `scan`, which goes on behind them. `glance` gives the same records without reading the frames: it trusts the
bytes, and leaves the file as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ramp.replay.checksum import checksum_of, digest
from ramp.replay.columns import step_columns
from ramp.replay.footer import TRAILER, FooterWriter, read_trailer
from ramp.replay.notes import columns_from_note
from ramp.replay.pen import Pen, Stage
from ramp.replay.record import KINDS, Mark, Position, Record, Seen, cells, extent_of

logger = logging.getLogger(__name__)

END = b"\xff\xff\xff\xff\0\0\0\0"  # of an Arrow IPC stream


@dataclass(frozen=True, slots=True)
class Damage:
    """A range of a segment that cannot be read. `torn`: it only ends too early, as a crash leaves it."""

    offset: int
    end: int
    torn: bool
    reason: str


def check_of(mark: Mark) -> int:
    """XXH3-64 of what a record says of itself."""
    return checksum_of((mark.kind, mark.episode_id, str(mark.number), mark.note, mark.digest))


class PartSink:
    """Collects what Arrow writes without copying it: small pieces as bytes, columns as the buffers that they are."""

    def __init__(self) -> None:
        self._parts: list[Any] = []
        self._position = 0
        self.closed = False

    def write(self, data: Any) -> int:
        self._parts.append(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing lies behind."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> list[Any]:
        """What was written since the last time; it must be used before the columns change."""
        parts, self._parts = self._parts, []
        return parts


class SegmentWriter:
    """One segment that grows. Not thread-safe; `ramp.replay.log.Log` serialises its callers."""

    def __init__(self, path: Path, columns: pa.Schema, stage: Stage) -> None:
        """Creates the file, under a hidden name until its schema is safe: a segment that can be seen has one, whenever
        the power goes. Raises OSError where it cannot, leaving none."""
        self.path, self._name = path.with_name(f".new-{path.name}"), path.name  # what is dropped has a dot alone
        self._sink = PartSink()
        self._footer = FooterWriter(columns)
        self._empty = pa.RecordBatch.from_arrays([pa.array([], type=kind) for kind in columns.types], schema=columns)
        self._stream = pa.ipc.new_stream(pa.PythonFile(self._sink, mode="w"), columns)
        self._stream.write_batch(self._empty)  # Arrow holds the schema back until a first batch
        self._sink.take()
        self._pen = Pen(self.path, stage)
        self.size = self.record_bytes = 0
        self.torn = False  # a record lies there in part, and nothing may be written behind it
        try:
            self._put([columns.serialize()])
            self.sync()
            self.path = self.path.rename(path)
        except OSError:
            self.discard()
            raise

    def append(self, mark: Mark, batch: pa.RecordBatch | None = None) -> Position:
        """Write one record (no fsync). A mark with a batch carries its `digest`. Raises OSError where the disk refuses;
        then the file is as it was before."""
        rows = self._empty if batch is None else batch
        fields = {"kind": mark.kind, "episode": mark.episode_id, "number": str(mark.number), "note": mark.note}
        fields |= {"digest": mark.digest, "check": str(check_of(mark))}
        self._stream.write_batch(rows, custom_metadata=fields)
        parts, offset = self._sink.take(), self.size
        self._put(parts)
        position = Position(self._name, offset, self.size - offset)
        self.record_bytes = self.size
        shown, places = cells(rows)
        self._footer.add(Record(mark, position, extent_of(rows)), rows, shown, _landed(places, parts, offset))
        return position

    def _put(self, parts: list[Any]) -> None:
        try:
            self.size += self._pen.write(parts, self.size)
        except OSError:
            self.torn = True  # unless what was written of it can be taken back
            self._pen.truncate(self.size)
            self.torn = False
            raise

    def sync(self) -> None:
        self._pen.sync()

    def seal(self) -> None:
        """Write what ends a segment, of which every record must be durable by now: the footer vouches for them.

        Where there is no room, the segment goes without: it is scanned at the next start.
        """
        try:
            self._put([END, *self._footer.finish(self.size + len(END))])
            self.sync()
        except OSError as error:
            logger.warning("%s: sealed without a footer: %s", self.path.name, error)

    def close(self) -> None:
        self._pen.close()

    def discard(self) -> None:
        self._pen.close()
        self.path.unlink(missing_ok=True)


def _landed(places: np.ndarray, parts: list[Any], offset: int) -> np.ndarray:
    """`places` int64 [F, cameras, 2], in memory, as they are in the file once `parts` are written from `offset` on."""
    if not places.size:
        return places
    buffers = [(part.address, begin) for part, begin in _begins(parts, offset) if isinstance(part, pa.Buffer)]
    begins = dict(buffers)
    first = places[0, :, 0]
    shift = np.array([begins[address] - address for address in first.tolist()])
    places[:, :, 0] += shift
    return places


def _begins(parts: list[Any], offset: int) -> Iterator[tuple[Any, int]]:
    for part in parts:
        yield part, offset
        offset += len(part)


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


def scan(path: Path) -> Iterator[Seen | Damage]:
    """Every record of a segment in order, and every range that is not one. Reads and checks all bytes."""
    return _walk(path, _checked)


def glance(path: Path) -> Iterator[Seen]:
    """Every record of a segment in order, up to the last whole one: behind it a server may be writing.

    Reads what the records say of themselves, and of their rows what the caller touches; so checksums are not compared,
    and a flipped bit in a number goes unseen. May be called beside a running server.
    """
    for found in _walk(path, _marked):
        if isinstance(found, Seen):
            yield found
        elif not found.offset and not found.torn:
            logger.error("%s: %s; it is left out", path, found.reason)


def schema_message(path: Path) -> bytes:
    """What a segment begins with; empty where that cannot be read."""
    with pa.memory_map(str(path), "r") as file:
        prefix = _schema_prefix(file.read_buffer())
    return b"" if prefix is None else prefix.to_pybytes()


def read_one(data: pa.Buffer) -> Mark:
    """What a record says of itself, read behind its segment's schema and compared with its checksums.

    Raises ArrowException, ValueError, KeyError, or StopIteration where it is none.
    """
    return _checked(*pa.ipc.open_stream(data).read_next_batch_with_custom_metadata())


def _walk(path: Path, marked: _Marked) -> Iterator[Seen | Damage]:
    if path.stat().st_size == 0:
        yield Damage(0, 0, True, "empty file")
        return
    with pa.memory_map(str(path), "r") as file:
        whole = _without_footer(file.read_buffer())
        prefix = _schema_prefix(whole)
        if prefix is None or not _holds_steps(pa.ipc.read_schema(prefix)):
            yield Damage(0, whole.size, False, "the schema cannot be read, or is not that of steps")
            return
        yield from _records(path.name, whole, prefix, marked)


def _records(name: str, whole: pa.Buffer, prefix: pa.Buffer, marked: _Marked) -> Iterator[Seen | Damage]:
    offset = prefix.size
    while offset < whole.size:
        reason = ""
        try:
            for mark, rows, length in _read(whole, prefix, offset, marked):
                yield Seen(mark, Position(name, offset, length), rows, whole.address)
                offset += length
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            reason = str(error)[:200]
        if _at_end(whole, offset):
            return
        begin, offset = offset, _resync(whole, prefix, offset)
        torn = offset == whole.size and "checksum" not in reason and not _finished(whole)
        yield Damage(begin, offset, torn, reason or "the stream ends early, or its footer is torn")


def _holds_steps(columns: pa.Schema) -> bool:
    try:
        schema, thoughts = columns_from_note((columns.metadata or {})[b"ramp.schema"].decode())
        return bool(columns.equals(step_columns(schema, thoughts=thoughts), check_metadata=False))
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
        return False


def _without_footer(whole: pa.Buffer) -> pa.Buffer:
    found = read_trailer(whole.slice(max(whole.size - TRAILER.size, 0)).to_pybytes(), whole.size)
    if found is None or found[0] < len(END) or whole.slice(found[0] - len(END), len(END)).to_pybytes() != END:
        return whole
    return whole.slice(0, found[0])


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
    mark, check = _said(fields)
    if check != check_of(mark) or (batch.num_rows and mark.digest != digest(batch)):
        raise ValueError("checksum disagrees")
    return mark


def _marked(batch: pa.RecordBatch, fields: pa.KeyValueMetadata | None) -> Mark:
    """Raises where the columns do not fit into the record."""
    batch.validate()
    return _said(fields)[0]


def _said(fields: pa.KeyValueMetadata | None) -> tuple[Mark, int]:
    """What a record says of itself, and its XXH3-64. Raises KeyError and ValueError where it says nothing useful."""
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
    return mark, int(texts["check"])


def _at_end(whole: pa.Buffer, offset: int) -> bool:
    rest = whole.size - offset
    return rest == 0 or (rest == len(END) and whole.slice(offset).to_pybytes() == END)


def _finished(whole: pa.Buffer) -> bool:
    """Whether the writer came to the end of the segment: then nothing of it can be torn."""
    return _at_end(whole, whole.size - len(END))


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
