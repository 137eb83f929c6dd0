"""The ways into and out of the replay service, by name: what the bench measures is what stands in these two tables."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Timeout
from ramp.types import Batch, Episode, EpisodeHeader, Outcome, SampleSpec, StepBatch
from services.clients.channel import NOBODY, open_channel
from services.clients.flight import Grants, Lanes, open_flight
from services.clients.replay import ReplayClient, pieces
from services.clients.road import Road
from services.clients.uploading import Uploader
from services.common import codec

PATIENCE_S = 120.0
PRODUCERS = 4
UPLOADS = 3  # at the same time; a full run's episodes are shared out evenly
AHEAD = 2  # batches

Append = Callable[[ReplayClient, Sequence[EpisodeHeader], StepBatch], None]
"""Appends the steps as an episode of every header; returns when the server has all of them on its disk."""
Sample = Callable[[ReplayClient, SampleSpec], Generator[Batch, None, None]]


def one_after_another(client: ReplayClient, headers: Sequence[EpisodeHeader], steps: StepBatch) -> None:
    for header in headers:
        _write(client, steps, header)
    if not client.flush(PATIENCE_S):
        raise Timeout(f"not all of {len(headers)} episodes were acknowledged within {PATIENCE_S:g} s")


def side_by_side(client: ReplayClient, headers: Sequence[EpisodeHeader], steps: StepBatch) -> None:
    with ThreadPoolExecutor(PRODUCERS) as producers:
        list(producers.map(partial(_write, client, steps), headers))


def _write(client: ReplayClient, steps: StepBatch, header: EpisodeHeader) -> None:
    writer = client.open(header)
    writer.append(steps)
    writer.end(Outcome.SUCCESS)


def over_grpc(client: ReplayClient, spec: SampleSpec) -> Generator[Batch, None, None]:
    """As the client reads ahead where there is no faster road: two batches are on their way."""
    wanted: queue.SimpleQueue[wire.SampleRequest | None] = queue.SimpleQueue()
    wanted.put(wire.SampleRequest(spec=codec.spec_to_wire(spec), credit=AHEAD))
    with open_channel(client.address) as channel:
        sample = channel.stream_stream("/ramp.v1.Replay/Sample", wire.SampleRequest.SerializeToString, None)
        for data in sample(iter(wanted.get, None)):
            wanted.put(wire.SampleRequest(credit=1))
            yield codec.sampled_from_bytes(data)[0]


def over_flight(client: ReplayClient, spec: SampleSpec) -> Generator[Batch, None, None]:
    """Frames through the Flight door, though they could be taken from maps here."""
    return _lanes(client, spec, wire.Bulk(flight_port=client.bulk().flight_port))


def from_maps(client: ReplayClient, spec: SampleSpec) -> Generator[Batch, None, None]:
    """Places through the Flight door, frames from maps of the server's segments."""
    return _lanes(client, spec, client.bulk())


def _lanes(client: ReplayClient, spec: SampleSpec, bulk: wire.Bulk) -> Generator[Batch, None, None]:
    """As the client reads ahead."""
    grants: Grants = queue.Queue()
    found: queue.SimpleQueue[Batch] = queue.SimpleQueue()
    for _ in range(AHEAD):
        grants.put(1)
    with open_flight(client.address, bulk, NOBODY) as door:
        work = (grants, found.put, threading.Event())
        pump = threading.Thread(target=Lanes(door, NOBODY.metadata(), spec, bulk).pump, args=work, daemon=True)
        pump.start()
        try:
            while True:
                yield found.get(timeout=PATIENCE_S)
                grants.put(1)
        finally:
            grants.put(None)
            pump.join()


def through_flight(client: ReplayClient, headers: Sequence[EpisodeHeader], steps: StepBatch) -> None:
    """Whole episodes, as an import sends them."""
    with open_flight(client.address, client.bulk(), NOBODY) as door:
        uploader = Uploader(door, NOBODY.metadata())
        for header in headers:
            episode = Episode(header=header, steps=steps, outcome=Outcome.SUCCESS)
            uploader.send(episode, list(pieces(steps)), PATIENCE_S)


def uploads_side_by_side(client: ReplayClient, headers: Sequence[EpisodeHeader], steps: StepBatch) -> None:
    """Each by a connection of its own, as several importers send them."""
    shares = [headers[first::UPLOADS] for first in range(UPLOADS)]
    with ThreadPoolExecutor(UPLOADS) as producers:
        list(producers.map(lambda share: through_flight(client, share, steps), shares))


SPOOLED = "grpc, spooled"
APPEND: Mapping[str, Append] = {
    "grpc": one_after_another,
    f"grpc, {PRODUCERS} producers": side_by_side,
    SPOOLED: one_after_another,
    "flight": through_flight,
    f"flight, {UPLOADS} producers": uploads_side_by_side,
}
"""`SPOOLED` goes through a client with a spool on disk, the others through one without."""
SAMPLE: Mapping[str, Sample] = {Road.GRPC: over_grpc, Road.FLIGHT: over_flight, Road.MAPPED: from_maps}
"""Frames as they are stored: pictures stay pictures."""
