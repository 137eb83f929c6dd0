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
from services.replay.appending import appended, refusal
from services.replay.core import ReplayCore
from services.replay.streams import Inbox


@dataclass(frozen=True, slots=True)
class _Answer:
    """What to say once `written` is durable."""

    message: wire.Appended
    written: list[Written]


def receive(
    core: ReplayCore,
    reader: flight.MetadataRecordBatchReader,
    writer: flight.FlightMetadataWriter,
    alive: Callable[[], bool],
) -> None:
    """Until the producer has said all. Raises Invalid for a stream that Arrow cannot read."""
    broken: list[Invalid] = []
    inbox = Inbox(_answers(core, reader, alive, broken))
    try:
        while group := inbox.take():
            for answer in _synced(core, group):
                writer.write(pa.py_buffer(answer.SerializeToString()))
    except (pa.ArrowException, flight.FlightError, OSError):
        pass  # the producer has gone; it will come again and resume
    finally:
        inbox.close()
        inbox.join()  # Flight frees the stream when this returns, and its thread may be reading from it
    if broken and alive():
        raise broken[0]


def _synced(core: ReplayCore, group: list[_Answer]) -> list[wire.Appended]:
    try:
        core.sync([written for answer in group for written in answer.written])
    except RampError as error:
        return [refusal(answer.message.episode_id, error) for answer in group]
    return [answer.message for answer in group]


def _answers(
    core: ReplayCore, reader: flight.MetadataRecordBatchReader, alive: Callable[[], bool], broken: list[Invalid]
) -> Iterator[_Answer]:
    """Of every message, which is written by then; `broken` gets why there are no more."""
    try:
        for chunk in _chunks(reader):
            written: list[Written] = []
            yield _Answer(_answered(core, chunk, written, alive), written)
    except (pa.ArrowException, flight.FlightError, OSError, MemoryError) as error:
        broken.append(Invalid("stream", str(error)[:200], "send messages without record batches, with an empty schema"))


def _chunks(reader: flight.MetadataRecordBatchReader) -> Iterator[flight.FlightStreamChunk]:
    while True:
        try:
            chunk = reader.read_chunk()
        except StopIteration:
            return
        yield chunk


def _answered(
    core: ReplayCore, chunk: flight.FlightStreamChunk, written: list[Written], alive: Callable[[], bool]
) -> wire.Appended:
    try:
        request, arrow = _request(chunk, core.shard.config.limits.max_message_bytes)
    except Invalid as error:
        return refusal("", error)
    return appended(core, request, written, alive, arrow)


def _request(chunk: flight.FlightStreamChunk, most: int) -> tuple[wire.AppendRequest, bytes]:
    if chunk.data is not None:
        remedy = "send it behind the request, in app_metadata"
        raise Invalid("message", f"a record batch of {chunk.data.num_rows} rows", remedy)
    data = chunk.app_metadata or pa.py_buffer(b"")
    if data.size > most + bulk_codec.MAX_REQUEST:
        raise Invalid("app_metadata", f"{data.size} bytes", f"send at most {most} bytes a batch")
    return bulk_codec.append_from_buffer(data)
