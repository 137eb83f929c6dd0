"""Episodes read straight from a replay directory, for a report that is made when no replay server runs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ramp.errors import NotFound
from ramp.replay.shelf import Shelves
from ramp.replay.summary import summarise_all
from ramp.types import Episode
from services.conductor.report.frames import Fetch


def stored(directory: Path) -> Fetch | None:
    """A way to fetch episodes from a replay directory; None where it holds none. Indexed at the first fetch."""
    try:
        shelves = Shelves(directory)
    except NotFound:
        return None

    @cache
    def known() -> frozenset[str]:
        return frozenset(summarise_all(shelves)["episode_id"].to_pylist())

    def fetch(episode_id: str) -> Episode:
        if episode_id not in known():
            raise NotFound(f"episode {episode_id!r} is not in {directory}")
        return shelves.fetch(episode_id)

    return fetch
