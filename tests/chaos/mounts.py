"""Small file systems to be filled and broken. They need the right to mount, which a container may not have."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NotPermitted(RuntimeError):
    """This machine lets nobody mount; the message is what it said."""


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotPermitted(str(error)) from error
    if done.returncode:
        raise NotPermitted(f"{' '.join(command[:3])}: {done.stderr.strip()[:200]}")


@contextmanager
def memory_disk(place: Path, size: int) -> Iterator[None]:
    """A tmpfs of so many bytes. Raises NotPermitted."""
    place.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield
    finally:
        _run("umount", "--lazy", str(place))


@contextmanager
def image_disk(place: Path, size: int) -> Iterator[None]:
    """An ext4 in a file beside `place`. Raises NotPermitted."""
    place.mkdir(parents=True, exist_ok=True)
    image = place.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", str(image))
    mount_image(place)
    try:
        yield
    finally:
        _run("umount", "--lazy", str(place))


def mount_image(place: Path) -> None:
    """Also again, after `fail`: as a repaired disk."""
    _run("mount", "-o", "loop", str(place.with_suffix(".image")), str(place))


def unmount(place: Path) -> None:
    _run("umount", str(place))


def fail(place: Path) -> None:
    """What ext4 does by itself when its device fails: from now on read-only, with files open for writing or not."""
    _run("mount", "-o", "remount,abort", str(place))
