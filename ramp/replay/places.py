"""Where the shards of a run lie: one alone in the replay directory itself, several each in `shard-K` below it."""

from __future__ import annotations

import re
from pathlib import Path

from ramp.errors import Invalid

NAME = re.compile(r"shard-(\d+)")
MOVING = ".replay-moving"


def shard_name(number: int) -> str:
    """What shard `number` of a run is called, from 0."""
    return f"shard-{number}"


def shard_places(replay: Path) -> dict[str, Path]:
    """Directory of each shard that has one, by name in the order of their numbers."""
    found = [path for path in replay.glob("shard-*") if NAME.fullmatch(path.name)]
    numbered = sorted(found, key=lambda path: int(path.name.partition("-")[2]))
    return {path.name: path for path in numbered} or {shard_name(0): replay}


def check_count(replay: Path, count: int) -> None:
    """Raises Invalid where the run has more shards than `count`: the episodes of the others would not be seen."""
    held = max(int(name.partition("-")[2]) + 1 for name in shard_places(replay))
    if held > count:
        raise Invalid("replay.shards", count, f"give {held} or more: so many shards of this run hold episodes")


def lay_out(replay: Path, count: int) -> dict[str, Path]:
    """The directories of `count` shards. A shard that was alone is moved to its place among several; a process that
    dies in between has this done by the next. No server may run on them. Raises Invalid, OSError."""
    check_count(replay, count)
    moving, first = replay.parent / MOVING, replay / shard_name(0)
    if count > 1 and not first.exists() and not moving.exists() and replay.is_dir():
        replay.rename(moving)
    if moving.exists():
        replay.mkdir(exist_ok=True)
        moving.rename(first if count > 1 else replay)
    return planned(replay, count)


def planned(replay: Path, count: int) -> dict[str, Path]:
    """The directories that `lay_out` makes room for, by name."""
    if count == 1:
        return shard_places(replay)
    return {shard_name(each): replay / shard_name(each) for each in range(count)}
