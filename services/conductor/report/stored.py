"""Episodes read straight from a replay directory, for a report that is made when no replay server runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ramp.replay.info import Limits
from ramp.replay.log import Log
from ramp.replay.segment import Record, scan
from ramp.replay.store import Store
from services.conductor.report.frames import Fetch


class StillLog(Log):
    """A log that is only looked at: torn tails are left alone, as a server may be writing them at this moment."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory

    def recover(self) -> Iterator[Record]:
        for path in sorted(self.directory.glob("*.arrows")):
            yield from (found for found in scan(path) if isinstance(found, Record))


def stored(directory: Path) -> Fetch | None:
    """A way to fetch episodes from the segments below `directory`; None where there are none. They are indexed once,
    at the first fetch."""
    segment = next(directory.rglob("*.arrows"), None)
    if segment is None:
        return None

    @cache
    def store() -> Store:
        opened = Store(StillLog(segment.parent), Limits())
        opened.recover()
        return opened

    return lambda episode_id: store().episode(episode_id)
