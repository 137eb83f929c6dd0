"""One replay server's part of the experience: the whole structure behind one door, without a network.

    begin, append, end, abort     of episodes: durable when they return
    sample                        batches of one table
    annotate, update_priorities   labels and weights beside the data
    query, fetch, info            what there is
    delete, keep, snapshot        what is to be forgotten, and what is to be kept as it is now

Every method may be called from any thread. Opening a directory rebuilds everything from its segments.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.data.images import decode_steps
from ramp.errors import Conflict, Invalid, NotFound, Unavailable
from ramp.replay import checkpoint, durable
from ramp.replay.annotations import Annotations, Values, check_values
from ramp.replay.columns import join_steps
from ramp.replay.entry import Entry, FramePlaces, Written, describe
from ramp.replay.info import AnnotateResult, EpisodeInfo, Progress, ReplayInfo
from ramp.replay.keeper import Keeper
from ramp.replay.labels import Labelled, Labels, derive, result
from ramp.replay.log import Log
from ramp.replay.ownership import own
from ramp.replay.shard_config import ShardConfig
from ramp.replay.snapshot import Snapshot
from ramp.replay.store import Store
from ramp.replay.table import Table
from ramp.replay.tombstones import Tombstones
from ramp.replay.validate import nearest
from ramp.replay.views import ViewInfo, new_view
from ramp.types import Batch, Episode, EpisodeHeader, Outcome, SampleSpec, StepBatch

logger = logging.getLogger(__name__)


class Shard:
    """Opened on one directory, by one process at a time."""

    def __init__(self, directory: Path, config: ShardConfig) -> None:
        """Rebuilds everything. Raises Unavailable where another process has the directory open."""
        self._directory, self.config = directory, config
        durable.make_directory(directory)
        self._guard = own(directory)
        self._log = Log(directory / "segments", config.segment_bytes)
        self._tombstones = Tombstones(directory / "tombstones")
        self._store = Store(self._log, self._tombstones, config.limits, config.retention)
        self._tables = {name: Table(name, each, self._log.mapped) for name, each in config.tables.items()}
        self._keeper = Keeper(directory, self._log, self._store, self._tables)
        self._mounts: dict[str, Table] = {}
        self._annotations = Annotations(directory / "annotations")
        self._switch = threading.Lock()  # inserting and relabelling exclude each other
        self._infos: dict[str, EpisodeInfo] = {}
        self._labelled: dict[str, Labelled] = {}
        self._labels: dict[str, Labels] = {}
        self._saved: object = None  # what the last checkpoint was of
        self._generators = np.random.SeedSequence()  # other draws after a restart than before it
        self._recover()

    def _recover(self) -> None:
        recovery = self._log.recover()
        ended = self._store.recover(recovery)
        for entry in ended:
            steps, places = self._store.recall(entry, recovery)
            self._learn(entry, steps)
            self._insert_again(entry, steps, places)
        self._derive()
        for table in self._tables.values() if self._labels else ():
            table.relabel(self._labels, self._annotations.version)
        checkpoint.restore(checkpoint.load(self._directory / "checkpoint.arrow"), self._tables)
        self._keeper.show_views(self._show)
        logger.info("%d episodes, %d open, %d damaged places", len(ended), self._store.open_episodes, self._log.damaged)

    def _insert_again(self, entry: Entry, steps: StepBatch, places: FramePlaces) -> None:
        """One episode that its table refuses must not keep all others from being served."""
        try:
            self._insert(entry, steps, places)
        except Invalid as error:
            logger.error("episode %s is not sampled: %s", entry.header.episode_id, error)

    # ---------------------------------------------------------------------------------------- appending

    def begin(self, header: EpisodeHeader) -> Progress:
        """OPEN an episode, or learn how far it has come. Raises Invalid, Conflict, Full."""
        return self.synced(self.write_begin(header))

    def append(self, episode_id: str, number: int, steps: StepBatch) -> Progress:
        """BATCH `number`; durable when it returns. Raises Invalid, Conflict, NotFound, Full, Corrupt."""
        return self.synced(self.write_batch(episode_id, number, steps))

    def end(self, episode_id: str, outcome: Outcome, batches: int, timeout: float | None = None) -> Progress:
        """END of an episode of so many batches: waits while a rate limiter holds inserts back, then makes the episode
        durable and visible.

        Raises Invalid, Conflict, NotFound, Full, Corrupt, Timeout, Unavailable (closing).
        """
        return self.synced(self.write_end(episode_id, outcome, batches, timeout))

    def abort(self, episode_id: str) -> Progress:
        """ABORT: nothing of the episode will be sampled. Raises Conflict, NotFound, Full."""
        return self.synced(self.write_abort(episode_id))

    def synced(self, *written: Written) -> Progress:
        """Wait until all of them are durable, with one fsync at most; the last one's progress. Raises Unavailable."""
        self._log.sync(max(each.ticket for each in written))
        return written[-1].progress

    def write_begin(self, header: EpisodeHeader) -> Written:
        """As `begin`, not durable yet."""
        for name in header.tables:
            if name not in self._tables:
                raise Invalid("tables", name[:160], nearest(name, self._tables))
            self._tables[name].check_schema(header.schema)
        if self.config.tasks and header.task not in self.config.tasks:
            raise Invalid("task", header.task[:160], nearest(header.task, self.config.tasks))
        return self._store.begin(header)

    def write_batch(self, episode_id: str, number: int, steps: StepBatch) -> Written:
        """As `append`, not durable yet."""
        return self._store.append(episode_id, number, steps)

    def write_rows(self, episode_id: str, number: int, rows: pa.RecordBatch) -> Written:
        """As `append`, not durable yet, of columns, written as they are; `rows.validate(full=True)` has passed."""
        return self._store.append_rows(episode_id, number, rows)

    def write_end(self, episode_id: str, outcome: Outcome, batches: int, timeout: float | None = None) -> Written:
        """As `end`. What becomes visible is durable, so this one does sync, and what was written before with it."""
        entry = self._store.entry(episode_id)
        if not self._store.has_ended(entry, outcome, batches):
            tables = [self.table(name) for name in entry.header.tables]
            for table in tables:
                table.limiter.await_insert(timeout)
            self._adopt(tables, entry.header)
        return self._store.end(episode_id, outcome, batches, self._learn_and_insert)

    def _adopt(self, tables: Sequence[Table], header: EpisodeHeader) -> None:
        """A table's first END fixes its schema, before anything of it is written. Raises Invalid where it has another.

        (An OPEN does not: its episode may never end, and would keep the true producers out.)
        """
        for table in tables:
            table.check_schema(header.schema)
        for table in tables:
            table.adopt(header.schema)

    def write_abort(self, episode_id: str) -> Written:
        """As `abort`, not durable yet."""
        return self._store.abort(episode_id)

    def header(self, episode_id: str) -> EpisodeHeader:
        """Of an open or ended episode. Raises NotFound."""
        return self._store.entry(episode_id).header

    def _learn_and_insert(self, entry: Entry) -> None:
        steps, places = self._store.numbers(entry)
        with self._switch:
            self._learn(entry, steps)
            self._insert(entry, steps, places)

    def _learn(self, entry: Entry, steps: StepBatch) -> None:
        self._infos[entry.header.episode_id] = describe(entry, steps)
        self._labelled[entry.header.episode_id] = Labelled.of(entry.header, entry.outcome, steps)

    def _insert(self, entry: Entry, steps: StepBatch, places: FramePlaces) -> None:
        labels = (self._labels.get(entry.header.episode_id), self._annotations.version)
        for name in entry.header.tables:
            if name in self._tables:  # a run may be opened again with fewer tables
                self._tables[name].insert(entry.header, entry.outcome, steps, places, labels)

    # ----------------------------------------------------------------------------------------- sampling

    def mount(self, table: Table) -> None:
        """Serve a table whose episodes lie elsewhere: it is sampled, and never appended to. Raises Conflict."""
        self._refuse_taken(table.name)
        self._mounts[table.name] = table

    def _refuse_taken(self, name: str) -> None:
        if name in self._known():
            raise Conflict("name", name, "there is a table of that name; choose another")

    def _known(self) -> dict[str, Table]:
        return self._tables | self._mounts | self._keeper.viewed

    def table(self, name: str) -> Table:
        """Raises NotFound."""
        if (found := self._known().get(name)) is None:
            raise NotFound(f"table {name[:160]!r}: {nearest(name, self._known())}")
        return found

    def generator(self) -> np.random.Generator:
        """A source of randomness of its own for each stream of samples."""
        with self._switch:
            return np.random.default_rng(self._generators.spawn(1)[0])

    def sample(
        self, spec: SampleSpec, generator: np.random.Generator, timeout: float | None = None
    ) -> tuple[Batch, float]:
        """One batch as stored, and the seconds it waited. Raises NotFound, Invalid, Timeout, Unavailable, Corrupt."""
        return self.table(spec.table).sample(spec, generator, timeout)

    def update_priorities(
        self, table: str, episode_ids: Sequence[str], steps: Sequence[int] | np.ndarray, priorities: np.ndarray
    ) -> int:
        """How many items got a new priority. Raises NotFound, Invalid."""
        return self.table(table).update_priorities(episode_ids, steps, priorities)

    # --------------------------------------------------------------------------------------- annotating

    def check_annotation(self, episode_id: str, steps: np.ndarray, remaining: np.ndarray) -> None:
        """Raises NotFound for an episode that has not ended, Invalid for wrong values."""
        known = self._labelled.get(episode_id)
        if known is None:
            raise NotFound(f"episode {episode_id[:160]!r} has not ended here; ask Query for those that have")
        check_values(episode_id, steps, remaining, known.frame_step)

    def annotate(self, world_version: int, values: Values, *, extends: bool) -> AnnotateResult:
        """Label episodes; durable and visible together when it returns. Raises Invalid, NotFound, Unavailable."""
        if world_version < 1:
            raise Invalid("world_version", world_version, "give the version of a published world model, 1 or above")
        for episode_id, (steps, remaining) in values.items():
            self.check_annotation(episode_id, steps, remaining)
        with self._switch:
            try:
                self._annotations.commit(world_version, values, extends=extends)
            except OSError as error:
                raise Unavailable(f"the annotation could not be written: {error}") from error
            self._derive()
            for table in (*self._tables.values(), *self._keeper.viewed.values()):
                table.relabel(self._labels, world_version)
            return result(self._labels)

    def _derive(self) -> None:
        remaining = {name: pair[1] for name, pair in self._annotations.values.items() if name in self._labelled}
        self._labels = derive(self._labelled, remaining, self.config.advantage)

    # ----------------------------------------------------------------------------------------- keeping

    def delete(self, episode_ids: Collection[str], reason: str) -> int:
        """Forget ended episodes for good; how many there were. Their ids stay taken, their labels go, and the disk gets
        its room back with one of the next calls of `keep`.

        Raises NotFound for an id that never was, Conflict for an open episode, Full; then none is deleted.
        """
        entries = self._keeper.delete(episode_ids, reason)
        self._forget([entry.header.episode_id for entry in entries])
        return len(entries)

    def _forget(self, episode_ids: Collection[str]) -> None:
        with self._switch:
            for episode_id in episode_ids:
                for known in (self._infos, self._labelled, self._labels):
                    known.pop(episode_id, None)

    def scrub(self, budget: int) -> tuple[int, int]:
        """Compare the next `budget` bytes of sealed segments with their checksums, beside everything else: how many
        bytes were read, and how many records were damaged. Their episodes are served no more. Raises OSError."""
        done, hurt = self._log.scrub(budget)
        self._forget(self._keeper.withdraw(hurt) if hurt else ())
        return done, len(hurt)

    def keep(self) -> tuple[int, int]:
        """Delete what the retention rule gives up, and free the disk of what was deleted: episodes and bytes.

        Raises Full, or OSError where there is no room to write a segment again; both may pass.
        """
        gone = self._store.roll.expired()
        if gone:
            self.delete(gone, "retention")
        return len(gone), self._keeper.compact()

    def snapshot(self, name: str) -> Snapshot:
        """This moment under a name, in `snapshots/` beside the data; nothing waits for it.

        Raises Invalid for a name that is none, Conflict for one that is taken, Full, Unavailable.
        """
        with contextlib.suppress(OSError):
            self.checkpoint()
        return self._keeper.snapshot(name)

    def snapshots(self) -> list[Snapshot]:
        """Those that there are, oldest first."""
        return self._keeper.snapshots.all()

    def drop_snapshot(self, name: str) -> None:
        """Raises NotFound."""
        self._keeper.snapshots.drop(name)

    def view(self, name: str, episode_ids: Sequence[str], query: str = "") -> ViewInfo:
        """Make a view of ended episodes: a table of that name, which is sampled and never appended to, now and after a
        restart. `query` is what they were asked by.

        Raises Invalid, Conflict for a name that is taken, NotFound for an episode that has not ended, Full, Corrupt.
        """
        view = new_view(name, episode_ids, query)
        self._refuse_taken(name)
        self._keeper.view(view, self._show)
        return view.info()

    def _show(self, table: Table) -> None:
        with self._switch:
            table.relabel(self._labels, self._annotations.version)
            self._keeper.viewed[table.name] = table

    def views(self) -> list[ViewInfo]:
        """Those that there are, oldest first."""
        return [view.info() for view in self._keeper.views.all()]

    def drop_view(self, name: str) -> None:
        """Its episodes stay; whoever samples it is told. Raises NotFound."""
        self._keeper.drop_view(name)

    # ------------------------------------------------------------------------------------------ telling

    def query(self, table: str = "", unlabelled_by: int = 0, limit: int = 0) -> list[EpisodeInfo]:
        """Ended episodes, oldest first. Raises NotFound for an unknown table."""
        chosen = self.table(table) if table else None
        with self._switch:
            labelled = self._labels if unlabelled_by and unlabelled_by == self._annotations.version else {}
            found = [
                info
                for name, info in self._infos.items()
                if (chosen is None or chosen.holds(name)) and (not unlabelled_by or name not in labelled)
            ]
        return found[:limit] if limit else found

    def fetch(self, episode_id: str, *, decode: bool = True) -> Episode:
        """With pixels, however its frames are stored; or as they are stored. Raises NotFound, Corrupt."""
        header, outcome, parts = self._store.parts(episode_id)
        steps = join_steps(parts)
        seen = decode_steps(steps, header.schema, episode_id) if decode else steps
        return Episode(header=header, steps=seen, outcome=outcome)

    def fetch_parts(self, episode_id: str) -> tuple[EpisodeHeader, Outcome, list[StepBatch]]:
        """An ended episode in the batches in which it came, not copied. Raises NotFound, Corrupt."""
        return self._store.parts(episode_id)

    def labels(self, episode_id: str) -> Labels | None:
        """Of an episode's items, in the order of its frames; None where the current generation does not name it."""
        with self._switch:
            return self._labels.get(episode_id)

    def info(self) -> ReplayInfo:
        return ReplayInfo(
            tables=tuple(table.info() for table in self._known().values()),
            limits=self.config.limits,
            annotation_version=self._annotations.version,
            disk_bytes=self._log.disk_bytes(),
            open_episodes=self._store.open_episodes,
            quarantined_segments=self._log.damaged + self._annotations.damaged + self._tombstones.damaged,
            deleted_episodes=len(self._tombstones),
            disk_free_bytes=shutil.disk_usage(self._directory).free,
            now=self._store.now(),
        )

    @property
    def failed(self) -> bool:
        """Whether the disk has failed for good: the process should be started again."""
        return self._log.failed

    # ------------------------------------------------------------------------------------------ closing

    def checkpoint(self) -> None:
        """Remember what the segments cannot tell, where that has changed. Raises OSError."""
        if (stamp := checkpoint.stamp(self._tables)) != self._saved:
            checkpoint.save(self._directory / "checkpoint.arrow", checkpoint.of(self._tables))
            self._saved = stamp

    def interrupt(self) -> None:
        """Whoever waits for a rate limiter gets Unavailable."""
        for table in self._known().values():
            table.limiter.close()

    def close(self) -> None:
        """Interrupt, checkpoint, close the files."""
        self.interrupt()
        try:
            self.checkpoint()
        except OSError as error:
            logger.warning("no checkpoint of the counters: %s", error)
        self._log.close()
        os.close(self._guard)
