"""A named point in time of a live shard: its sealed segments linked, not copied, so that nothing waits for it.

    snapshots/before-upgrade/    a directory that a shard can be opened on, or that a backup copies away
        segments/*.arrows        the same files as the shard's, which nobody writes to any more
        annotations/             the generations of labels
        views/                   as they are then
        tombstones, checkpoint.arrow, snapshot.json

It is made under a hidden name and renamed when it is complete. What is deleted later stays in it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ramp.errors import Conflict, Full, Invalid, NotFound
from ramp.replay import durable

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MANIFEST = "snapshot.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What is known of one."""

    name: str
    taken_at: float  # seconds since 1970
    episodes: int  # ended ones
    bytes: int  # of segments; shared with the shard until it drops them
    path: str


class Snapshots:
    """Those of one shard directory."""

    def __init__(self, shard: Path) -> None:
        """Removes what a crash left half-made."""
        self._shard, self._home = shard, shard / "snapshots"
        with durable.where_writable():
            for leftover in self._home.glob(".*"):
                shutil.rmtree(leftover)
            if self._home.exists():
                durable.sync(self._home)  # one that was renamed just before a kill is there from here on

    def check(self, name: str) -> None:
        """Raises Invalid for a name that is none, Conflict for one that is taken."""
        if not NAME.fullmatch(name):
            raise Invalid("name", name[:160], "use 1 to 128 of A-Z a-z 0-9 . _ - and begin with a letter or a digit")
        if (self._home / name).exists():
            raise Conflict("name", name, "a snapshot has that name; drop it first, or use another")

    def take(self, name: str, segments: Sequence[Path], episodes: int) -> Snapshot:
        """Durable when it returns. `segments` are sealed. Raises Invalid, Conflict, Full where the disk refuses."""
        self.check(name)
        hidden, place = self._home / f".{name}", self._home / name
        told = Snapshot(
            name=name,
            taken_at=time.time(),
            episodes=episodes,
            bytes=sum(path.stat().st_size for path in segments),
            path=str(place),
        )
        try:
            durable.make_directory(self._home)
            self._link(hidden, segments)
            _write(hidden / MANIFEST, json.dumps(asdict(told) | {"number": self._next_number()}, indent=1))
            durable.sync(hidden)
            hidden.rename(place)
            durable.sync(self._home)
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            raise Full(f"the snapshot {name} could not be made: {error}") from error
        return told

    def _link(self, hidden: Path, segments: Sequence[Path]) -> None:
        for directory in (hidden, hidden / "segments"):
            directory.mkdir()
        for path in segments:
            os.link(path, hidden / "segments" / path.name)
        durable.sync(hidden / "segments")
        for generation in sorted((self._shard / "annotations").glob("g*")):
            shutil.copytree(generation, hidden / "annotations" / generation.name, copy_function=os.link)
            durable.sync(hidden / "annotations" / generation.name)
        if (hidden / "annotations").exists():
            durable.sync(hidden / "annotations")
        if (self._shard / "views").exists():
            skipped = shutil.ignore_patterns(".*")
            shutil.copytree(self._shard / "views", hidden / "views", ignore=skipped, copy_function=os.link)
            durable.sync(hidden / "views")
        for name in ("tombstones", "checkpoint.arrow"):
            if (self._shard / name).exists():
                shutil.copyfile(self._shard / name, hidden / name)
                durable.sync(hidden / name)

    def all(self) -> list[Snapshot]:
        """Oldest first, whatever the clock said. One whose manifest cannot be read is left out; it can be dropped."""
        return [snapshot for _, snapshot in self._numbered()]

    def _numbered(self) -> list[tuple[int, Snapshot]]:
        """By ascending number."""
        found = [_read(path) for path in self._home.glob(f"[!.]*/{MANIFEST}")]
        return sorted((each for each in found if each is not None), key=lambda pair: pair[0])

    def _next_number(self) -> int:
        return max((number for number, _ in self._numbered()), default=0) + 1

    def drop(self, name: str) -> None:
        """Forget one; its bytes go where the shard does not hold them any more. Raises NotFound."""
        if not NAME.fullmatch(name) or not (self._home / name).is_dir():
            raise NotFound(
                f"snapshot {name[:160]!r}; there are: {', '.join(each.name for each in self.all()) or 'none'}"
            )
        hidden = self._home / f".{name}"
        (self._home / name).rename(hidden)
        durable.sync(self._home)  # before anything of it goes: half of one must not come back
        shutil.rmtree(hidden)


def _read(path: Path) -> tuple[int, Snapshot] | None:
    """The number of a snapshot and what its manifest says; None where that is damaged."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return _count(told["number"]), Snapshot(
            name=path.parent.name,
            taken_at=float(told["taken_at"]),
            episodes=_count(told["episodes"]),
            bytes=_count(told["bytes"]),
            path=str(path.parent),
        )
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        logger.error("%s cannot be read (%s)", path, error)
        return None


def _count(number: object) -> int:
    """Raises ValueError."""
    if not isinstance(number, int) or not 0 <= number < 2**63:
        raise ValueError(f"{number} is no count")
    return number


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
