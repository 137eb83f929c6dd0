"""The replay service without its wire: Arrow bytes in, Arrow bytes out, metrics beside. No gRPC here: two doors, gRPC
and Arrow Flight, stand before the same core.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from ramp.errors import Invalid, Timeout
from ramp.replay.batches import bytes_to_arrow, places_to_arrow
from ramp.replay.columns import step_columns
from ramp.replay.entry import Written
from ramp.replay.shard import Shard
from ramp.types import EpisodeHeader, Outcome, SampleSpec, Source
from services.common import codec, metrics
from services.common.arrow_bytes import record_from_ipc
from services.replay.robots import Robots

logger = logging.getLogger(__name__)

MAX_DELETED = 10_000  # in one request
MAX_REASON = 500  # characters
POLL_S = 0.5  # how often a waiting stream looks whether its peer is still there


class ReplayCore:
    """One shard behind whatever doors. Thread-safe."""

    def __init__(self, shard: Shard) -> None:
        self.shard, self.robots = shard, Robots()
        self._limits = shard.config.limits
        for what in ("asked", "retention"):
            metrics.REPLAY_DELETED.labels(what)  # 0 is told, too

    # ---------------------------------------------------------------------------------------- appending

    def begin(self, header: EpisodeHeader) -> Written:
        return self.shard.write_begin(header)

    def append(self, episode_id: str, number: int, arrow: bytes | memoryview) -> Written:
        """Decode, validate and write one batch of steps. Raises Invalid, Conflict, NotFound, Full, Corrupt."""
        began = time.monotonic()
        self._refuse_larger(len(arrow))
        header = self.shard.header(episode_id)
        columns = step_columns(header.schema, thoughts=header.thoughts)
        rows = record_from_ipc(arrow, columns, self._limits.max_steps_per_batch)
        self._refuse_larger(rows.nbytes)  # its columns may share bytes
        written = self.shard.write_rows(episode_id, number, rows)
        if written.new:
            self._note(episode_id, rows)
        metrics.add_seconds(metrics.REPLAY_APPEND_SECONDS, time.monotonic() - began)
        return written

    def _note(self, episode_id: str, rows: pa.RecordBatch) -> None:
        """Steps that are new: how many of whom, and who brings them."""
        counts = np.bincount(rows.column("source").to_numpy(), minlength=len(Source))
        for source in Source:
            metrics.REPLAY_APPENDED_STEPS.labels(source.name.lower()).inc(int(counts[source]))
        metrics.REPLAY_APPENDED_BYTES.inc(rows.nbytes)
        self.robots.heard(self.shard.header(episode_id).robot, rows.column("policy_version")[-1].as_py())

    def _refuse_larger(self, size: int) -> None:
        most = self._limits.max_message_bytes
        if size > most:
            raise Invalid("arrow", f"{size} bytes", f"send at most {most} bytes a batch")

    def end(self, episode_id: str, outcome: Outcome, batches: int, alive: Callable[[], bool]) -> Written:
        """Waits for the rate limiter as long as the producer is `alive`. Raises as Shard.end."""
        while True:
            try:
                written = self.shard.write_end(episode_id, outcome, batches, timeout=POLL_S)
            except Timeout:
                if alive():
                    continue
                raise
            for table in self.shard.header(episode_id).tables if written.new else ():
                metrics.REPLAY_ENDED_EPISODES.labels(table).inc()
            return written

    def abort(self, episode_id: str) -> Written:
        return self.shard.write_abort(episode_id)

    def sync(self, written: Sequence[Written]) -> None:
        """Returns when all of them are durable. Raises Unavailable."""
        if written:
            metrics.REPLAY_UNSYNCED.inc(len(written))
            try:
                with metrics.timed(metrics.REPLAY_SYNC_SECONDS):
                    self.shard.synced(*written)
            finally:
                metrics.REPLAY_UNSYNCED.dec(len(written))

    def delete(self, episode_ids: Sequence[str], reason: str) -> int:
        """As Shard.delete. Raises Invalid for too many ids at once and for a reason that is none, too."""
        if not 1 <= len(episode_ids) <= MAX_DELETED:
            raise Invalid("episode_id", f"{len(episode_ids)} ids", f"give 1 to {MAX_DELETED}")
        if not 1 <= len(reason.strip()) <= MAX_REASON:
            raise Invalid("reason", reason[:160], f"say why, in 1 to {MAX_REASON} characters")
        deleted = self.shard.delete(episode_ids, reason.strip())
        metrics.REPLAY_DELETED.labels("asked").inc(deleted)
        return deleted

    # ----------------------------------------------------------------------------------------- sampling

    def check(self, spec: SampleSpec) -> None:
        """Raises NotFound, Invalid."""
        self.shard.table(spec.table).check(spec)

    def sampled(self, spec: SampleSpec, generator: np.random.Generator, alive: Callable[[], bool]) -> bytes | None:
        """One serialised SampledBatch, or None once the learner has gone. Raises as Shard.sample."""
        began, waited = time.monotonic(), 0.0
        while True:
            try:
                outline, last = self.shard.table(spec.table).outline(spec, generator, POLL_S)
                waited += last
                break
            except Timeout:
                waited = time.monotonic() - began
                if not alive():
                    return None
        data = codec.sampled_to_bytes(bytes_to_arrow(outline, outline.pixels), waited)
        self._count(spec, len(data), time.monotonic() - began - waited)
        return data

    def drawn(self, spec: SampleSpec, generator: np.random.Generator, *, places: bool) -> pa.RecordBatch:
        """One batch, its frames where they lie in memory; or, where `places` and they lie in the shard's segments, only
        their places. Raises as Shard.sample; Timeout where there is none within POLL_S."""
        began, table = time.monotonic(), self.shard.table(spec.table)
        outline, waited = table.outline(spec, generator, POLL_S)
        record = places_to_arrow(outline) if places and table.files else bytes_to_arrow(outline, outline.pixels)
        self._count(spec, record.nbytes, time.monotonic() - began - waited)
        return record

    def _count(self, spec: SampleSpec, size: int, seconds: float) -> None:
        metrics.REPLAY_SAMPLED_ITEMS.labels(spec.table).inc(spec.batch_size)
        metrics.REPLAY_SAMPLED_BYTES.labels(spec.table).inc(size)
        metrics.add_seconds(metrics.REPLAY_SAMPLE_SECONDS.labels(spec.table), seconds)
