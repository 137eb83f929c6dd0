"""Arrow IPC that a stranger sent: exactly one schema and one record batch, not compressed, fully validated.

Arrow itself crashes over some malformed messages and allocates what others claim; so both are looked at before it.
"""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa

from ramp.errors import Invalid
from ramp.replay.segment import PartSink


def record_to_ipc(record: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as writer:
        writer.write_batch(record)
    return sink.getvalue()


def record_parts(record: pa.RecordBatch) -> list[Any]:
    """An Arrow IPC stream of one batch as pieces that show their bytes; the columns are not copied."""
    sink = PartSink()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), record.schema) as writer:
        writer.write_batch(record)
    return sink.take()


def record_from_ipc(arrow: bytes | memoryview | pa.Buffer, columns: pa.Schema | None, max_rows: int) -> pa.RecordBatch:
    """One record batch of exactly these columns (None: of any) from an untrusted Arrow IPC stream. Raises Invalid."""
    source = pa.BufferReader(arrow)
    try:
        found = pa.ipc.read_schema(_message(source, "schema"))
        if columns is not None and not found.equals(columns, check_metadata=False):
            raise Invalid(
                "arrow", f"columns {str(found.remove_metadata())[:400]!r}", f"send {columns.names} as documented"
            )
        message = _message(source, "record batch")
        _check_header(message, max_rows)
        record = pa.ipc.read_record_batch(message, found if columns is None else columns)
        record.validate(full=True)
        _check_end(source)
    except (pa.ArrowException, OSError, EOFError, struct.error) as error:
        raise Invalid("arrow", str(error)[:200], "send one Arrow IPC stream with one record batch") from error
    return record


def _message(source: pa.BufferReader, kind: str) -> pa.ipc.Message:
    """The next message. Arrow reads one kind as another if it is told to, and crashes; so the kind is checked first."""
    message = pa.ipc.read_message(source)
    if message.type != kind:
        raise Invalid("arrow", f"a message of type {message.type}", "send a schema, then one record batch")
    return message


def _check_end(source: pa.BufferReader) -> None:
    rest = source.read()
    if rest not in (b"", b"\xff\xff\xff\xff\0\0\0\0"):
        raise Invalid("arrow", f"{len(rest)} bytes behind the record batch", "send one record batch a message")


def _check_header(message: pa.ipc.Message, max_rows: int) -> None:
    """Rows and compression, read from the flatbuffer before Arrow allocates anything for them.

    A compressed buffer of a few bytes may claim gigabytes, so none is accepted (Arrow's Message.fbs: field 2 of the
    message is its header; of a RecordBatch, field 0 is the length and field 3 the compression).
    """
    data = message.metadata.to_pybytes()
    root = struct.unpack_from("<I", data, 0)[0]
    header_at = _table_field(data, root, 2)
    if header_at is None:
        raise Invalid("arrow", "a message without a header", "send one record batch")
    header = header_at + struct.unpack_from("<I", data, header_at)[0]
    rows_at = _table_field(data, header, 0)
    rows = struct.unpack_from("<q", data, rows_at)[0] if rows_at is not None else 0
    if not 0 <= rows <= max_rows:
        raise Invalid("arrow", f"{rows} rows", f"send at most {max_rows} rows a batch")
    if _table_field(data, header, 3) is not None:
        raise Invalid("arrow", "compressed buffers", "send them uncompressed")


def _table_field(data: bytes, table: int, number: int) -> int | None:
    """Where a flatbuffer table keeps a field, or None where it has its default."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    size = struct.unpack_from("<H", data, vtable)[0]
    slot = 4 + 2 * number
    offset = struct.unpack_from("<H", data, vtable + slot)[0] if slot + 2 <= size else 0
    return table + offset if offset else None
