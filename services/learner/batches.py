"""Batches on their way from replay to the model: threads that fetch and convert ahead, and the time that is waited.

Replay.sample -> ramp.types.Batch -> ramp.data.transforms -> Sampled -> queue -> Source.poll -> loop
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from types import TracebackType

from ramp.data.normalize import Normalizer
from ramp.data.thoughts import ThoughtVocabulary
from ramp.data.transforms import Prompts, thought_tensors, to_tensors
from ramp.errors import Invalid, Timeout
from ramp.interfaces import Replay
from ramp.recipes.recipe import MixtureConfig
from ramp.types import Batch, Order, SampleSpec
from services.clients.sampling import SampleStream
from services.clients.sharded_stream import ShardedStream
from services.common.metrics import LEARNER_PREFETCHED
from services.common.settings import Settings
from services.learner.chosen import Chosen
from services.learner.progress import Basis
from services.learner.sampled import Sampled, Source, joined

AHEAD = 3  # batches of one stream that wait converted
PATIENCE_S = 2.0  # between looks whether the stream was closed meanwhile
CLOSING_S = 8.0  # longest for a batch that is being converted when its stream is closed


def convert(
    batch: Batch,
    normalizer: Normalizer,
    failure_penalty: float,
    *,
    horizons: Sequence[int] = (),
    prompts: Prompts | None = None,
    thoughts: ThoughtVocabulary | None = None,
    length: int = 0,
) -> Sampled:
    """To tensors, with the rows' origin; `horizons` are those that the batch was asked for with. With a vocabulary also
    labels of thoughts, `length` tokens at most."""
    tensors = to_tensors(batch, normalizer, failure_penalty=failure_penalty, prompts=prompts)
    if thoughts is not None:
        tensors |= thought_tensors(batch, normalizer, thoughts, length=length)
    rows = list(zip(batch.episode_id, batch.step.tolist(), batch.length.tolist(), strict=True))
    return Sampled(
        tensors=tensors,
        keys=[(episode, step) for episode, step, _ in rows],
        tasks=list(batch.task),
        policy_versions=[int(version) for version in batch.policy_version],
        ahead=[(episode, min(step + each, length - 1)) for episode, step, length in rows for each in horizons],
    )


class Stream:
    """One table's batches, fetched and converted by a thread. A replay server that comes and goes is the client's to
    survive: here it is only a batch that comes late."""

    def __init__(self, replay: Replay, spec: SampleSpec, converter: Callable[[Batch], Sampled]) -> None:
        self._replay, self._spec, self._convert = replay, spec, converter
        self._ready: queue.Queue[Sampled | Exception] = queue.Queue(AHEAD)
        self._prefetched = LEARNER_PREFETCHED.labels(spec.table)
        self._closed = threading.Event()
        self._batches: Iterator[Batch] = iter(())
        self._thread = threading.Thread(target=self._fill, name=f"stream-{spec.table}", daemon=True)
        self._thread.start()

    def poll(self, timeout_s: float) -> Sampled | None:
        """Raises whatever the thread could not deal with."""
        try:
            item = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._prefetched.dec()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """End the thread, and a request that it waits in. (One that still runs inside Arrow or torch when Python ends
        takes the process down with it.)"""
        self._closed.set()
        _close(self._batches)
        self._thread.join(PATIENCE_S + CLOSING_S)
        self._prefetched.dec(self._ready.qsize())

    @property
    def rows(self) -> int:
        """Of every batch."""
        return self._spec.batch_size

    def _fill(self) -> None:
        while not self._closed.is_set():
            self._batches = self._replay.sample(self._spec, timeout=PATIENCE_S)
            try:
                self._pump(self._batches)
            except Exception as error:  # handed to the loop, which ends with it
                self._hand_over(error)
                return
            finally:
                _close(self._batches)

    def _pump(self, batches: Iterator[Batch]) -> None:
        while not self._closed.is_set():
            try:
                self._hand_over(self._convert(next(batches)))
            except Timeout:  # the rate limiter holds it, or the server is away: the stream goes on
                continue
            except StopIteration:
                return

    def _hand_over(self, item: Sampled | Exception) -> None:
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.2)
            except queue.Full:
                continue
            self._prefetched.inc()
            return


class Mixture:
    """Several tables in one batch, each with its own share of the rows."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = list(sources)
        self._parts: list[Sampled | None] = [None] * len(self._sources)

    def poll(self, timeout_s: float) -> Sampled | None:
        """None until every table has given its part; parts that came are kept."""
        until = time.monotonic() + timeout_s
        for index, source in enumerate(self._sources):
            if self._parts[index] is None:
                self._parts[index] = source.poll(max(0.0, until - time.monotonic()))
        parts = [part for part in self._parts if part is not None]
        if len(parts) < len(self._sources):
            return None
        self._parts = [None] * len(self._sources)
        return joined(parts)

    def close(self) -> None:
        for source in self._sources:
            source.close()

    def __enter__(self) -> Mixture:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _close(batches: Iterator[Batch]) -> None:
    """A stream of the client holds a call open; an iterator of a table in this process has nothing to close."""
    if isinstance(batches, SampleStream | ShardedStream):
        batches.close()


def open_mixture(
    replay: Replay,
    rows: Mapping[str, int],
    spec: SampleSpec,
    converter: Callable[[Batch], Sampled],
    of: Collection[str] = (),
) -> Mixture:
    """Streams of `spec` from every table in `rows`, with that many rows each; `of` these tasks alone, () of all."""
    specs = [replace(spec, table=table, batch_size=count) for table, count in rows.items()]
    streams = [Stream(replay, each, converter) for each in specs]
    return Mixture([Chosen(stream, of, stream.rows) for stream in streams] if of else streams)


def world_batches(
    replay: Replay, settings: Settings, basis: Basis, rows: Mapping[str, int], horizons: tuple[int, ...] = ()
) -> Mixture:
    """What tokenizer and world model are trained on: uniformly, with the frames at `horizons`."""
    spec = SampleSpec(table="", batch_size=sum(rows.values()), chunk=settings.policy.chunk, horizons=horizons)
    penalty = settings.advantage.failure_penalty
    converter = partial(convert, normalizer=basis.normalizer, failure_penalty=penalty, horizons=horizons)
    return open_mixture(replay, rows, spec, converter)


def policy_batches(
    replay: Replay,
    settings: Settings,
    basis: Basis,
    rows: Mapping[str, int],
    prompts: Prompts | None = None,
    of: Collection[str] = (),
) -> Mixture:
    """What a policy is trained on: by priority, without futures, with labels of thought where it thinks; `of` these
    tasks alone, () of all.

    Raises Invalid where it shall think and nobody has fitted its words.
    """
    policy = settings.policy
    if policy.thought and basis.thoughts is None:
        raise Invalid("policy.thought", True, "keep false here: this run's demonstrations were read without it")
    spec = SampleSpec(
        table="",
        batch_size=sum(rows.values()),
        chunk=policy.chunk,
        order=Order.PRIORITIZED,
        track_stride=policy.track_stride if policy.thought else 0,
    )
    converter = partial(
        convert,
        normalizer=basis.normalizer,
        failure_penalty=settings.advantage.failure_penalty,
        prompts=prompts,
        thoughts=basis.thoughts if policy.thought else None,
        length=policy.thought_length,
    )
    return open_mixture(replay, rows, spec, converter, of)


def shares(batch: int, mixture: MixtureConfig, workers: int) -> dict[str, int]:
    """Rows per table of this worker's part of a batch, by largest remainder; tables without rows are left out."""
    own, weights = max(1, batch // workers), asdict(mixture)
    exact = {table: own * weight / sum(weights.values()) for table, weight in weights.items()}
    rows = {table: int(share) for table, share in exact.items()}
    short = sorted(exact, key=lambda table: rows[table] - exact[table])[: own - sum(rows.values())]
    return {table: count + (table in short) for table, count in rows.items() if count + (table in short)}
