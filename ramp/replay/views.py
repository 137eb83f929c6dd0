"""Views: named sets of ended episodes that are sampled like a table, and never appended to.

    views/hard-drawers.json    its name, the question it answers, and the ids that were the answer then

A view names episodes and holds nothing: one that is deleted leaves it, and labels are those of the current generation.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ramp.errors import Conflict, Full, Invalid, NotFound
from ramp.replay import durable

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MAX_EPISODES = 100_000  # of one view
MAX_QUERY = 10_000  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewInfo:
    """What is told of one."""

    name: str
    query: str
    created_at: float
    episodes: int  # that it was made of


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Example: View(name="hard-drawers", query="task='drawer-open-v3' and steps>150", episode_ids=("demo-7",))"""

    name: str
    query: str  # for people: what the episodes were asked by
    episode_ids: tuple[str, ...]  # in the order in which they are FIFO and LIFO
    created_at: float  # seconds since 1970

    def info(self) -> ViewInfo:
        return ViewInfo(name=self.name, query=self.query, created_at=self.created_at, episodes=len(self.episode_ids))


def new_view(name: str, episode_ids: Sequence[str], query: str) -> View:
    """A view made now, each id once. Raises Invalid for a name that is none, for no episodes and for too many."""
    ids = tuple(dict.fromkeys(episode_ids))
    if not NAME.fullmatch(name):
        raise Invalid("name", name[:160], "use 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or a digit")
    if not 1 <= len(ids) <= MAX_EPISODES:
        raise Invalid("episode_id", f"{len(ids)} episodes", f"give 1 to {MAX_EPISODES}")
    if len(query) > MAX_QUERY:
        raise Invalid("query", f"{len(query)} characters", f"give at most {MAX_QUERY}")
    return View(name=name, query=query, episode_ids=ids, created_at=round(time.time(), 3))


class Views:
    """The files of one shard. Not thread-safe; `ramp.replay.keeper.Keeper` serialises its callers."""

    def __init__(self, shard: Path) -> None:
        """Makes durable what was renamed just before a kill."""
        self._home = shard / "views"
        with durable.where_writable():
            if self._home.exists():
                durable.sync(self._home)

    def all(self) -> list[View]:
        """Oldest first; a file that cannot be read is told of and left out."""
        found = [view for path in self._home.glob("*.json") if (view := _read(path))]
        return sorted(found, key=lambda view: (view.created_at, view.name))

    def check(self, name: str) -> None:
        """Raises Conflict for a name that is taken."""
        if self._path(name).exists():
            raise Conflict("name", name, "a view has that name; drop it first, or use another")

    def add(self, view: View) -> None:
        """Durable when it returns. Raises Conflict, Full where the disk refuses."""
        self.check(view.name)
        partial = self._home / f".{view.name}"
        try:
            durable.make_directory(self._home)
            partial.write_text(json.dumps(asdict(view), indent=1), encoding="utf-8")
            durable.sync(partial)
            partial.rename(self._path(view.name))
            durable.sync(self._home)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise Full(f"the view {view.name} could not be written: {error}") from error

    def drop(self, name: str) -> None:
        """Its episodes stay. Raises NotFound."""
        if not NAME.fullmatch(name) or not self._path(name).exists():
            names = ", ".join(view.name for view in self.all())
            raise NotFound(f"view {name[:160]!r}; there are: {names or 'none'}")
        self._path(name).unlink()
        durable.sync(self._home)

    def _path(self, name: str) -> Path:
        return self._home / f"{name}.json"


def _read(path: Path) -> View | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return View(**said | {"episode_ids": tuple(said["episode_ids"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.error("%s: %s; that view is not served", path, error)
        return None
