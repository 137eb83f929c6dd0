"""A shard as a backup sees it: a live snapshot, which is dropped when it has been copied."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from ramp.errors import Invalid, RampError, Unavailable
from ramp.replay.identity import FILE as IDENTITY
from ramp.replay.identity import identify
from ramp.replay.snapshot import MANIFEST, Snapshot
from services.backup.copying import Frozen, Told, alone, back_up
from services.backup.manifest import Manifest
from services.backup.part import Part

logger = logging.getLogger(__name__)

PREFIX = "backup-"  # of snapshots that a backup takes


class Shot(Protocol):
    """Who takes snapshots: a shard in this process, or a client of its server."""

    def snapshot(self, name: str) -> Snapshot: ...

    def snapshots(self) -> list[Snapshot]: ...

    def drop_snapshot(self, name: str) -> None: ...


def back_up_shard(part: Part, directory: Path, shot: Shot, keep: int, told: Told) -> Manifest:
    """Of the shard whose data lie in `directory` here; `part` has its name. Appending, sampling and deleting go on.

    Raises as `back_up`, Invalid where the server's disk is another machine's, Unavailable where it does not answer.
    """
    try:
        with alone(directory), _frozen(part.name, directory, shot) as frozen:
            return back_up(part, directory, frozen, keep, told)
    except OSError as error:
        raise Unavailable(f"{directory} cannot be read: {error}") from error


@contextmanager
def _frozen(name: str, directory: Path, shot: Shot) -> Iterator[Frozen]:
    """Snapshots that a killed backup left are dropped first."""
    data = identify(directory, name).data
    for left in shot.snapshots():
        if left.name.startswith(PREFIX):
            shot.drop_snapshot(left.name)
    taken = shot.snapshot(f"{PREFIX}{time.time_ns()}")
    try:
        yield _files(taken, directory, data)
    finally:
        _drop(shot, taken.name)


def _files(taken: Snapshot, directory: Path, data: str) -> Frozen:
    folder = directory / "snapshots" / taken.name
    if not folder.is_dir():
        remedy = "run it on the server's machine, or set replay.backup.url: then the server does it itself"
        raise Invalid("directory", f"{folder} is not here", remedy)
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    found.pop(MANIFEST)
    return Frozen({**found, IDENTITY: directory / IDENTITY}, data, taken.taken_at, taken.episodes)


def _drop(shot: Shot, name: str) -> None:
    """The next backup drops what this one could not."""
    try:
        shot.drop_snapshot(name)
    except (RampError, OSError) as error:
        logger.warning("the snapshot %s stays for now: %s", name, error)
