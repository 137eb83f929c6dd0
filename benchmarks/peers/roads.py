"""The ways into and out of the replay service, by name: what the bench measures is what stands in these two tables."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Timeout
from ramp.types import Batch, EpisodeHeader, Outcome, SampleSpec, StepBatch
from services.clients.channel import open_channel
from services.clients.replay import ReplayClient
from services.common import codec

PATIENCE_S = 120.0
PRODUCERS = 4
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


SPOOLED = "grpc, spooled"
APPEND: Mapping[str, Append] = {
    "grpc": one_after_another,
    f"grpc, {PRODUCERS} producers": side_by_side,
    SPOOLED: one_after_another,
}
"""`SPOOLED` goes through a client with a spool on disk, the others through one without."""
SAMPLE: Mapping[str, Sample] = {"grpc": over_grpc}
