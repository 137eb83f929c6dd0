"""The ways into and out of the replay service, by name: what the bench measures is what stands in these two tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from ramp.errors import Timeout
from ramp.types import Batch, EpisodeHeader, Outcome, SampleSpec, StepBatch
from services.clients.replay import ReplayClient

PATIENCE_S = 120.0
PRODUCERS = 4

Append = Callable[[ReplayClient, Sequence[EpisodeHeader], StepBatch], None]
"""Appends the steps as an episode of every header; returns when the server has all of them on its disk."""
Sample = Callable[[ReplayClient, SampleSpec], Iterator[Batch]]


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


def over_grpc(client: ReplayClient, spec: SampleSpec) -> Iterator[Batch]:
    return client.sample(spec, timeout=PATIENCE_S)


SPOOLED = "grpc, spooled"
APPEND: Mapping[str, Append] = {
    "grpc": one_after_another,
    f"grpc, {PRODUCERS} producers": side_by_side,
    SPOOLED: one_after_another,
}
"""`SPOOLED` goes through a client with a spool on disk, the others through one without."""
SAMPLE: Mapping[str, Sample] = {"grpc": over_grpc}
