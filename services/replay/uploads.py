"""Appends that come through the Flight door: one thread reads and writes them, another one syncs and answers.

consumes      messages of a DoPut: AppendRequests with their Arrow bytes behind them
produces      one Appended each, in order, when it is durable
waits for     the producer's next message, the disk, the rate limiter at an END
unblocked by  the message, the end of the producer's stream or connection
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import flight
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Invalid, RampError
from ramp.replay.entry import Written
from services.common import bulk_codec
from services.replay.appending import Request, appended, refusal
from services.replay.author import Author
from services.replay.streams import Inbox


@dataclass(frozen=True, slots=True)
class _Answer:
    """What to say once `written` is durable."""

    message: wire.Appended
    written: list[Written]


@dataclass(frozen=True, slots=True)
class Upload:
    """Who uploads, by what bounds."""

    author: Author
    most: int  # bytes of a batch
    admit: Callable[[], object]  # asked before every message: raises once the producer must not go on
    alive: Callable[[], bool]  # whether anybody waits for answers
    wait: Callable[[float], object]  # for so many seconds, or until the server stops


def receive(upload: Upload, reader: flight.MetadataRecordBatchReader, writer: flight.FlightMetadataWriter) -> None:
    """Until the producer has said all. Raises Invalid for a stream that Arrow cannot read."""
    broken: list[Invalid] = []
    inbox = Inbox(_answers(upload, reader, broken))
    try:
        while group := inbox.take():
            for answer in _synced(upload.author, group):
                writer.write(pa.py_buffer(answer.SerializeToString()))
            upload.author.slow_down(upload.wait)
    except (pa.ArrowException, flight.FlightError, OSError):
        pass  # the producer has gone; it will come again and resume
    finally:
        inbox.close()
        inbox.join()  # Flight frees the stream when this returns, and its thread may be reading from it
    if broken and upload.alive():
        raise broken[0]


def _synced(author: Author, group: list[_Answer]) -> list[wire.Appended]:
    try:
        author.sync([written for answer in group for written in answer.written])
    except RampError as error:
        return [refusal(answer.message.episode_id, error) for answer in group]
    return [answer.message for answer in group]


def _answers(upload: Upload, reader: flight.MetadataRecordBatchReader, broken: list[Invalid]) -> Iterator[_Answer]:
    """Of every message, which is written by then; `broken` gets why there are no more."""
    try:
        for chunk in _chunks(reader):
            written: list[Written] = []
            yield _Answer(_answered(upload, chunk, written), written)
    except (pa.ArrowException, flight.FlightError, OSError, MemoryError) as error:
        broken.append(Invalid("stream", str(error)[:200], "send messages without record batches, with an empty schema"))


def _chunks(reader: flight.MetadataRecordBatchReader) -> Iterator[flight.FlightStreamChunk]:
    while True:
        try:
            chunk = reader.read_chunk()
        except StopIteration:
            return
        yield chunk


def _answered(upload: Upload, chunk: flight.FlightStreamChunk, written: list[Written]) -> wire.Appended:
    try:
        upload.admit()
        request = _request(chunk, upload.most)
    except RampError as error:
        return refusal("", error)
    return appended(upload.author, request, written, upload.alive)


def _request(chunk: flight.FlightStreamChunk, most: int) -> Request:
    if chunk.data is not None:
        remedy = "send it behind the request, in app_metadata"
        raise Invalid("message", f"a record batch of {chunk.data.num_rows} rows", remedy)
    data = chunk.app_metadata or pa.py_buffer(b"")
    if data.size > most + bulk_codec.MAX_REQUEST:
        raise Invalid("app_metadata", f"{data.size} bytes", f"send at most {most} bytes a batch")
    return bulk_codec.append_from_buffer(data)
