"""Making a backup: what is not there yet is copied and read back, then the manifest is written, then old ones go.

It may be killed anywhere: the next one finds what was copied. Nothing that it copies from is waited for or changed.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ramp.errors import Conflict, Unavailable
from services.backup.bucket import chunks_of, digest_of
from services.backup.manifest import Kept, Manifest
from services.backup.part import Part

logger = logging.getLogger(__name__)

LOCK = ".backup.lock"
BACKED_UP = "backed_up_at"
"""File beside the data: of which moment the last backup is, in seconds since 1970."""
Told = Callable[[int, int], None]
"""Bytes that are done, of how many."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """Files that nobody writes to any more, at one moment."""

    files: Mapping[str, Path]  # by the path that they have in the directory
    data: str  # the mark of the data
    taken_at: float  # seconds since 1970
    episodes: int


def back_up(part: Part, directory: Path, frozen: Frozen, keep: int, told: Told) -> Manifest:
    """One more backup of a part, whose data lie in `directory`: whole and compared with the original when it returns.
    Older ones than `keep` go.

    Raises Conflict where the place holds another run's backups, Corrupt where a copy differs, Unavailable.
    """
    known = part.manifests()
    if known and known[-1].data != frozen.data:
        held = f"{part.bucket.url} holds backups of another run's {part.name}"
        raise Conflict("url", held, "give every run a place of its own")
    files = _described(frozen.files, known[-1].files if known else ())
    _copy_missing(part, files, known, frozen.files, told)
    number = part.next_number()
    manifest = Manifest(number, part.name, frozen.data, frozen.taken_at, frozen.episodes, files)
    part.finish(manifest)
    _mark(directory, manifest)
    part.prune(keep)
    return manifest


def _mark(directory: Path, manifest: Manifest) -> None:
    """A disk that refuses it leaves the backup as good as it is."""
    try:
        (directory / BACKED_UP).write_text(f"{manifest.taken_at}\n", encoding="utf-8")
    except OSError as error:
        logger.warning("%s cannot be written: %s", directory / BACKED_UP, error)


def _described(sources: Mapping[str, Path], before: tuple[Kept, ...]) -> tuple[Kept, ...]:
    """What is as it was in the backup before has the checksum that it had then; the rest is read."""
    known = {(file.path, file.size, file.mtime_ns): file.sha256 for file in before}
    found = []
    for path, source in sorted(sources.items()):
        about = source.stat()
        sha256 = known.get((path, about.st_size, about.st_mtime_ns)) or digest_of(chunks_of(source))
        found.append(Kept(path, about.st_size, sha256, about.st_mtime_ns))
    return tuple(found)


def _copy_missing(
    part: Part, files: tuple[Kept, ...], known: list[Manifest], sources: Mapping[str, Path], told: Told
) -> None:
    """What a finished backup names was compared then; what a broken off one left is compared now."""
    proved, there = {file.sha256 for each in known for file in each.files}, part.objects()
    total, done = sum(file.size for file in files), 0
    for file in files:
        whole = there.get(file.sha256) == file.size and (file.sha256 in proved or part.holds(file))
        if not whole:
            part.store(file, sources[file.path])
            there[file.sha256] = file.size
            proved.add(file.sha256)
        done += file.size
        told(done, total)


def missing(part: Part, manifest: Manifest, told: Told) -> list[Kept]:
    """Files of a backup whose content is not in its place as it was: everything is read. Raises Unavailable."""
    found, done = [], 0
    for file in manifest.files:
        if not part.holds(file):
            found.append(file)
        done += file.size
        told(done, manifest.size)
    return found


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """For the one process that backs this directory up now. Raises Unavailable where another one does."""
    lock = os.open(directory / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise Unavailable(f"{directory} is being backed up by another process; wait until it is done") from error
    finally:
        os.close(lock)
