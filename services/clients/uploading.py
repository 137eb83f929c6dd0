"""Whole episodes through the Flight door, for who has them on disk already: no spool, and a bounded number of bytes
that nobody has acknowledged. Where a connection breaks the episode is sent again: the server compares.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
from pyarrow import flight
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Conflict, Full, Invalid, Timeout, Unavailable
from ramp.types import Episode, StepBatch
from services.clients.channel import Metadata, delays
from services.clients.flight import FAILURES, call_options
from services.common import bulk_codec, codec
from services.common.errors import from_flight, from_wire

WAITING = 32  # messages without an answer
WAITING_BYTES = 32 * 2**20


class Uploader:
    """One connection; not thread-safe. Example: Uploader(open_flight(address, bulk), ()).send(episode, parts, 300)"""

    def __init__(self, client: flight.FlightClient, metadata: Metadata) -> None:
        self._client, self._metadata = client, metadata

    def send(self, episode: Episode, parts: Sequence[StepBatch], timeout: float) -> None:
        """Durable at the server and visible when it returns; of an episode that the server refuses nothing is left.

        Raises Invalid, Conflict, Full, Unauthenticated, Unavailable and Timeout after `timeout` s.
        """
        deadline = time.monotonic() + timeout
        for pause in delays():
            try:
                return self._say(_requests(episode, parts), deadline)
            except Conflict:
                raise
            except Invalid:
                self._say(_withdrawal(episode), deadline)
                raise
            except (Unavailable, Full, Timeout):
                if time.monotonic() + pause >= deadline:
                    raise
            time.sleep(pause)

    def _say(self, requests: Iterable[pa.Buffer], deadline: float) -> None:
        """All of them on one stream. Raises what the first refused one was refused for."""
        options = call_options(self._metadata, max(deadline - time.monotonic(), 0.001))
        descriptor = flight.FlightDescriptor.for_command(bulk_codec.APPEND)
        try:
            writer, answers = self._client.do_put(descriptor, pa.schema([]), options)
            waiting: deque[int] = deque()
            for request in requests:
                while waiting and (len(waiting) >= WAITING or sum(waiting) + request.size > WAITING_BYTES):
                    _take(answers, waiting)
                writer.write_metadata(request)
                waiting.append(request.size)
            writer.done_writing()
            while waiting:
                _take(answers, waiting)
            writer.close()
        except FAILURES as error:
            raise from_flight(error) from None


def _take(answers: flight.FlightMetadataReader, waiting: deque[int]) -> None:
    data = answers.read()
    if data is None:
        raise Unavailable("the server ended the stream")
    answer = wire.Appended.FromString(data.to_pybytes())
    if answer.HasField("error"):
        raise from_wire(answer.error)
    waiting.popleft()


def _requests(episode: Episode, parts: Sequence[StepBatch]) -> Iterator[pa.Buffer]:
    header = episode.header
    yield bulk_codec.append_to_buffer(codec.open_request(header))
    for number, part in enumerate(parts):
        yield bulk_codec.batch_to_buffer(header.episode_id, number, part, header.schema)
    yield bulk_codec.append_to_buffer(codec.end_request(header.episode_id, episode.outcome, len(parts)))


def _withdrawal(episode: Episode) -> Iterator[pa.Buffer]:
    yield bulk_codec.append_to_buffer(codec.open_request(episode.header))
    yield bulk_codec.append_to_buffer(codec.abort_request(episode.header.episode_id))
