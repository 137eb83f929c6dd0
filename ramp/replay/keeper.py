"""Housekeeping of one shard: what is deleted leaves the tables at once, and the disk when enough of a segment is dead.

    delete     tombstone (durable) -> tables forget -> bytes count as dead
    compact    a segment more than half dead is written again without them -> entries and tables point there -> it goes
    snapshot   everything sealed -> linked under a name
    view       some ended episodes -> a table of their own, which only points to them

Appending, sampling and fetching go on meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from ramp.errors import Corrupt, NotFound
from ramp.replay.entry import Entry, State
from ramp.replay.log import Log
from ramp.replay.record import Mark, Position
from ramp.replay.snapshot import Snapshot, Snapshots
from ramp.replay.store import Store
from ramp.replay.table import Table, TableConfig
from ramp.replay.views import View, Views

logger = logging.getLogger(__name__)

DEAD_SHARE = 0.5  # of a segment's bytes, from which on it is written again


class Keeper:
    """One task at a time; thread-safe."""

    def __init__(self, directory: Path, log: Log, store: Store, tables: Mapping[str, Table]) -> None:
        self._log, self._store, self._tables = log, store, tables
        self.snapshots, self.views = Snapshots(directory), Views(directory)
        self.viewed: dict[str, Table] = {}
        self._lock = threading.Lock()

    def delete(self, episode_ids: Collection[str], reason: str) -> list[Entry]:
        """As `Store.delete`; no table draws from them any more when it returns."""
        with self._lock:
            entries = self._store.delete(episode_ids, reason)
            for table in self._all_tables():
                table.remove([entry.header.episode_id for entry in entries])
        return entries

    def withdraw(self, positions: Collection[Position]) -> list[str]:
        """Episodes that had these records, which turned out to be damaged: no table draws from them any more."""
        with self._lock:
            episode_ids = self._store.hurt(positions)
            for table in self._all_tables():
                table.remove(episode_ids)
        return episode_ids

    def compact(self) -> int:
        """Bytes that the disk got back. Raises OSError where there is no room for a new edition; nothing is lost."""
        with self._lock:
            self._log.sweep()
            dead, freed = self._store.dead_bytes(), 0
            for segment, size in self._log.sealed().items():
                if dead.get(segment, 0) > DEAD_SHARE * size.records:
                    freed += self._rewrite(segment)
            return freed

    def _rewrite(self, segment: str) -> int:
        """Bytes that the disk got back, whatever is appended meanwhile."""
        names: set[str] = set()

        def keep(mark: Mark) -> bool:
            kept = self._store.wanted(mark)
            names.update([mark.episode_id] if kept else [])
            return kept

        try:
            moved = self._log.rewrite(segment, keep)
        except Corrupt as error:
            logger.error("%s", error)
            return 0
        here = self._store.move(segment, moved, names)
        places = {entry.header.episode_id: self._store.read(entry)[1] for entry in here}
        for table in self._all_tables():
            table.repoint(places)
        sizes, editions = self._log.sealed(), {place.segment for place in moved.values()}
        self._log.drop(segment)
        logger.info("%s: written again without what was deleted", segment)
        freed = sizes[segment].file - sum(sizes[edition].file for edition in editions)
        return max(freed, 0)  # less than nothing where the old one had no footer and the new one has

    def _all_tables(self) -> Iterator[Table]:
        yield from self._tables.values()
        yield from list(self.viewed.values())

    def view(self, view: View, show: Callable[[Table], None]) -> None:
        """Build the table of a new view, write the view down, then `show` the table.

        Raises Conflict for a name that is taken, NotFound for an episode that has not ended, Invalid for episodes of
        several schemas, Full, Corrupt; then there is none.
        """
        with self._lock:
            self.views.check(view.name)
            table = self._table(view.name, [self._ended(each) for each in view.episode_ids])
            self.views.add(view)
            show(table)

    def show_views(self, show: Callable[[Table], None]) -> None:
        """At a start: the views of before, without what was deleted."""
        for view in self.views.all():
            known = [each for each in view.episode_ids if self._store.holds(each)]
            show(self._table(view.name, [self._ended(each) for each in known]))

    def drop_view(self, name: str) -> None:
        """Raises NotFound."""
        with self._lock:
            self.views.drop(name)
            table = self.viewed.pop(name, None)
        if table:
            table.limiter.close()

    def _table(self, name: str, entries: list[Entry]) -> Table:
        table = Table(name, TableConfig(), self._log.mapped)
        for entry in entries:
            table.insert(entry.header, entry.outcome, *self._store.numbers(entry), (None, 0))
        return table

    def _ended(self, episode_id: str) -> Entry:
        """Raises NotFound."""
        entry = self._store.entry(episode_id)
        if entry.state is not State.ENDED:
            raise NotFound(f"episode {episode_id[:160]!r} is {entry.state}: a view names ended ones")
        return entry

    def snapshot(self, name: str) -> Snapshot:
        """Raises Invalid, Conflict, Full, Unavailable."""
        with self._lock:
            self.snapshots.check(name)
            return self.snapshots.take(name, self._log.seal(), self._store.ended_episodes)
