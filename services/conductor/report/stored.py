"""Episodes read straight from a replay directory, for a report that is made when no replay server runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ramp.replay.columns import join_steps
from ramp.replay.info import Limits
from ramp.replay.log import Log
from ramp.replay.segment import Record, scan
from ramp.replay.store import Store
from ramp.replay.tombstones import Tombstones
from ramp.types import Episode
from services.conductor.report.frames import Fetch


class StillLog(Log):
    """A log that is only looked at: torn tails are left alone, as a server may be writing them at this moment."""

    def recover(self) -> Iterator[Record]:
        for path in self._newest():
            yield from (found for found in scan(path) if isinstance(found, Record))


def stored(directory: Path) -> Fetch | None:
    """A way to fetch episodes from a replay directory; None where it holds none. Indexed at the first fetch."""
    segments = directory / "segments"
    if not any(segments.glob("*.arrows")):
        return None

    @cache
    def store() -> Store:
        opened = Store(StillLog(segments), Tombstones(directory / "tombstones"), Limits())
        opened.recover()
        return opened

    def fetch(episode_id: str) -> Episode:
        header, outcome, parts = store().parts(episode_id)
        return Episode(header=header, steps=join_steps(parts), outcome=outcome)

    return fetch
