"""Bringing a backup back: into a directory that appears when everything in it has been compared.

It may be killed anywhere: what has arrived is kept in a hidden directory beside it, and compared again by the next try.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from ramp.errors import Conflict, Corrupt, Full
from ramp.replay import durable
from services.backup.bucket import chunks_of, digest_of
from services.backup.copying import Told
from services.backup.manifest import Kept, Manifest
from services.backup.part import Part

Wanted = Mapping[str, tuple[Part, Manifest]]
"""Backups by the folder in the target that each of them fills, "" for the target itself."""


def restore(wanted: Wanted, target: Path, told: Told) -> None:
    """Raises Conflict where something lies there, Corrupt where the backup is damaged (nothing appears then), Full,
    NotFound, Unavailable."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict("directory", target, "something lies there; move it away, or give another place")
    hidden = target.with_name(f".{target.name}.restoring")
    total, done = sum(manifest.size for _, manifest in wanted.values()), 0
    try:
        durable.make_directory(hidden)
        for folder, (part, manifest) in wanted.items():
            for file in manifest.files:
                _fetch(part, file, hidden / folder / file.path)
                done += file.size
                told(done, total)
        _remove_others(
            {hidden / folder / file.path for folder, (_, one) in wanted.items() for file in one.files}, hidden
        )
        hidden.rename(target)
        durable.sync(target.parent)
    except OSError as error:
        raise Full(f"{target} could not be written: {error}; the next try goes on from here") from error


def _fetch(part: Part, file: Kept, place: Path) -> None:
    """Nothing where it has arrived before."""
    if place.is_file() and place.stat().st_size == file.size and digest_of(chunks_of(place)) == file.sha256:
        return
    durable.make_directory(place.parent)
    partial = place.with_name(f".{place.name}.part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as out:
        out.writelines(part.content(file))
        out.flush()
        os.fsync(out.fileno())
    if digest_of(chunks_of(partial)) != file.sha256:
        partial.unlink()
        raise Corrupt(f"{file.path} in {part.bucket.url} is not what was backed up; take an older backup (--before)")
    os.utime(partial, ns=(file.mtime_ns, file.mtime_ns))
    partial.rename(place)
    durable.sync(place.parent)


def _remove_others(wanted: set[Path], hidden: Path) -> None:
    """What an earlier try of another backup left."""
    for path in hidden.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()
    for path in sorted(hidden.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            shutil.rmtree(path)
