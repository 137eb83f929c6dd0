"""Batches on their way from replay to the model: threads that fetch and convert ahead, and the time that is waited.

Replay.sample -> ramp.types.Batch -> ramp.data.transforms -> Sampled -> queue -> Source.poll -> loop
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

from ramp.data.normalize import Normalizer
from ramp.data.transforms import to_tensors
from ramp.errors import Timeout
from ramp.interfaces import Replay
from ramp.types import Batch, SampleSpec
from services.clients.sampling import SampleStream

AHEAD = 3  # batches of one stream that wait converted
PATIENCE_S = 2.0  # between looks whether the stream was closed meanwhile


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A batch as a model takes it.

    Example: Sampled(tensors={"images": ...}, keys=[("count-7-1f", 8)], policy_versions=[3])
    """

    tensors: dict[str, Tensor]  # keys of ramp/data/transforms.py, on the CPU
    keys: list[tuple[str, int]]  # (episode, step) of each row
    policy_versions: list[int]  # that acted, of rows where one did
    ahead: list[tuple[str, int]] = field(default_factory=list)  # of each future frame, row by row [B * K]


class Source(Protocol):
    """Where a loop takes its batches from."""

    def poll(self, timeout_s: float) -> Sampled | None:
        """The next batch, or None where there is none yet."""

    def close(self) -> None: ...


def convert(batch: Batch, normalizer: Normalizer, failure_penalty: float, horizons: Sequence[int] = ()) -> Sampled:
    """Robot units to tensors, with the rows' origin; `horizons` are those that the batch was asked for with."""
    rows = list(zip(batch.episode_id, batch.step.tolist(), batch.length.tolist(), strict=True))
    return Sampled(
        tensors=to_tensors(batch, normalizer, failure_penalty=failure_penalty),
        keys=[(episode, step) for episode, step, _ in rows],
        policy_versions=[int(version) for version in batch.policy_version if version > 0],
        ahead=[(episode, min(step + each, length - 1)) for episode, step, length in rows for each in horizons],
    )


class Stream:
    """One table's batches, fetched and converted by a thread. A replay server that comes and goes is the client's to
    survive: here it is only a batch that comes late."""

    def __init__(self, replay: Replay, spec: SampleSpec, converter: Callable[[Batch], Sampled]) -> None:
        self._replay, self._spec, self._convert = replay, spec, converter
        self._ready: queue.Queue[Sampled | Exception] = queue.Queue(AHEAD)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, name=f"stream-{spec.table}", daemon=True)
        self._thread.start()

    def poll(self, timeout_s: float) -> Sampled | None:
        """Raises whatever the thread could not deal with."""
        try:
            item = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Ask the thread to end; one that waits inside a request ends with it."""
        self._closed.set()

    def _fill(self) -> None:
        while not self._closed.is_set():
            batches = self._replay.sample(self._spec, timeout=PATIENCE_S)
            try:
                self._pump(batches)
            except Exception as error:  # handed to the loop, which ends with it
                self._hand_over(error)
                return
            finally:
                _close(batches)

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
        return _joined(parts)

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
    if isinstance(batches, SampleStream):
        batches.close()


def open_mixture(
    replay: Replay, rows: Mapping[str, int], spec: SampleSpec, converter: Callable[[Batch], Sampled]
) -> Mixture:
    """Streams of `spec` from every table in `rows`, with that many rows each."""
    specs = [replace(spec, table=table, batch_size=count) for table, count in rows.items()]
    return Mixture([Stream(replay, each, converter) for each in specs])


def shares(batch: int, online_share: float, workers: int) -> dict[str, int]:
    """Rows per table of this worker's part of a batch; tables without rows are left out."""
    own = max(1, batch // workers)
    online = min(own, round(own * online_share))
    return {table: rows for table, rows in (("demos", own - online), ("online", online)) if rows}


def _joined(parts: Sequence[Sampled]) -> Sampled:
    if len(parts) == 1:
        return parts[0]
    return Sampled(
        tensors={name: torch.cat([part.tensors[name] for part in parts]) for name in parts[0].tensors},
        keys=[key for part in parts for key in part.keys],
        policy_versions=[version for part in parts for version in part.policy_versions],
        ahead=[key for part in parts for key in part.ahead],
    )
