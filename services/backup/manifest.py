"""What one backup holds: a list of files by the checksum of their content, written when all of that is in its place."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath

from ramp.errors import Corrupt


@dataclass(frozen=True, slots=True)
class Kept:
    """One file. Example: Kept("segments/000001.arrows", 67108864, "9f86...", 1795300000000000000)"""

    path: str  # below the directory that was backed up
    size: int  # bytes
    sha256: str
    mtime_ns: int  # of the file then: one that has the same path, size and time is not read again


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup of one part."""

    number: int  # 1, 2, ...
    part: str  # a shard's name, or `run`
    data: str  # the mark of the data (ramp/replay/identity.py): another run's backups do not mix with these
    taken_at: float  # seconds since 1970: of the moment that it holds
    episodes: int  # ended ones; 0 of `run`
    files: tuple[Kept, ...]

    @property
    def size(self) -> int:
        """Bytes of all its files, whether other backups share them or not."""
        return sum(file.size for file in self.files)

    def encode(self) -> bytes:
        plain = asdict(self)
        return json.dumps(plain | {"checksum": _checksum(plain)}, indent=1).encode()


def decode(content: bytes, where: str) -> Manifest:
    """Raises Corrupt for one that is not as it was written."""
    try:
        plain = json.loads(content)
        if plain.pop("checksum") != _checksum(plain):
            raise ValueError("its checksum differs from its content")
        files = tuple(Kept(**file) for file in plain.pop("files"))
        _check_paths(file.path for file in files)
        return Manifest(**plain, files=files)
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise Corrupt(f"{where}: {error}") from error


def _check_paths(paths: Iterable[str]) -> None:
    """Raises ValueError for one that leads out of the directory."""
    for path in map(PurePosixPath, paths):
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{path} leads out of the directory")


def _checksum(plain: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
