"""A shard as a ramp.interfaces.Replay in this process: what tests and single-process experiments use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ramp.data.images import decode_batch
from ramp.replay.shard import Shard
from ramp.types import Batch, EpisodeHeader, Outcome, SampleSpec, StepBatch


class LocalWriter:
    """One open episode; each call returns when what it said is on the disk."""

    def __init__(self, shard: Shard, header: EpisodeHeader) -> None:
        self._shard, self._episode_id = shard, header.episode_id
        self._next_batch = shard.begin(header).next_batch

    def append(self, steps: StepBatch) -> None:
        """Raises Invalid, Conflict, Full."""
        self._next_batch = self._shard.append(self._episode_id, self._next_batch, steps).next_batch

    def end(self, outcome: Outcome) -> None:
        """Raises Invalid, Conflict, Full, Unavailable."""
        self._shard.end(self._episode_id, outcome, self._next_batch)

    def abort(self) -> None:
        """Raises Conflict, Full."""
        self._shard.abort(self._episode_id)

    def wait(self, timeout: float) -> None:
        """Each call returned when what it said was durable: nothing to wait for."""


class LocalReplay:
    """Implements ramp.interfaces.Replay over a shard; the shard's other methods are its own."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard

    def open(self, header: EpisodeHeader) -> LocalWriter:
        """Raises Invalid, Conflict, Full."""
        return LocalWriter(self.shard, header)

    def sample(self, spec: SampleSpec, *, timeout: float) -> Iterator[Batch]:
        """An endless stream, with pixels. Raises NotFound, Invalid, Corrupt, Timeout after `timeout` s without one."""
        generator: np.random.Generator = self.shard.generator()
        while True:
            yield decode_batch(self.shard.sample(spec, generator, timeout)[0])
