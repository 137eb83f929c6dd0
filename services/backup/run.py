"""A run's directory as a backup sees it, but for its replay data: registry, checkpoints, journal, settings, tokens.

What is immutable is linked, what is appended to or replaced is copied, in an order in which nothing points to what is
not there: the journal before the checkpoints, those and the aliases before the versions.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ramp.errors import Unavailable
from ramp.replay.identity import FILE as IDENTITY
from ramp.replay.identity import identify
from services.backup.copying import Frozen, Told, alone, back_up
from services.backup.manifest import Manifest
from services.backup.part import RUN, Part
from services.backup.periodic import Backups
from services.common.place import BackupPlace

STAGE = ".backup"
SMALL = ("settings.yaml", "tokens.yaml", "logs/audit.jsonl", "journal.jsonl")


def back_up_run(part: Part, directory: Path, keep: int, told: Told) -> Manifest:
    """Beside a run or without one. Secrets (`secrets/`) stay where they are: a resumed run makes its own again.

    Raises as `back_up`.
    """
    with alone(directory), _frozen(directory) as frozen:
        return back_up(part, directory, frozen, keep, told)


def run_backups(settings: BackupPlace, directory: Path) -> Backups:
    """Those that a conductor makes by itself. Raises Invalid."""

    def make(part: Part, keep: int, told: Told) -> Manifest:
        return back_up_run(part, directory, keep, told)

    return Backups(RUN, settings, make)


@contextmanager
def _frozen(directory: Path) -> Iterator[Frozen]:
    data, taken_at, stage = identify(directory, RUN).data, time.time(), directory / STAGE
    shutil.rmtree(stage, ignore_errors=True)
    try:
        _stage(directory, stage)
        files = {str(path.relative_to(stage)): path for path in stage.rglob("*") if path.is_file()}
        yield Frozen(files, data, taken_at, episodes=0)
    except OSError as error:
        raise Unavailable(f"{directory} cannot be backed up: {error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _stage(directory: Path, stage: Path) -> None:
    stage.mkdir(mode=0o700)
    for name in (IDENTITY, *SMALL):
        if (directory / name).exists():
            (stage / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(directory / name, stage / name)
    _stage_folder(directory / "checkpoints", stage / "checkpoints")
    kinds = [path for path in sorted((directory / "registry").glob("[!.]*")) if path.is_dir()]
    for kind in kinds:
        if (kind / "aliases").is_dir():
            _copy_files(kind / "aliases", stage / "registry" / kind.name / "aliases")
    for kind in kinds:
        _stage_folder(kind, stage / "registry" / kind.name)


def _stage_folder(source: Path, target: Path) -> None:
    """Numbered folders, which are renamed into place and never changed, and files, which are replaced."""
    for path in sorted(source.glob("[!.]*")) if source.is_dir() else ():
        if path.is_dir() and path.name.isdigit():
            _link_folder(path, target / path.name)
    _copy_files(source, target)


def _link_folder(source: Path, target: Path) -> None:
    """A checkpoint may be superseded and go meanwhile: then it is left out, and the newer one is there."""
    try:
        shutil.copytree(source, target, copy_function=_link)
    except (FileNotFoundError, shutil.Error):
        if source.is_dir():
            raise
        shutil.rmtree(target, ignore_errors=True)


def _link(source: str, target: str) -> None:
    """A file system without links costs a copy."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copy2(source, target)


def _copy_files(source: Path, target: Path) -> None:
    for path in sorted(source.glob("[!.]*")) if source.is_dir() else ():
        if path.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / path.name)
