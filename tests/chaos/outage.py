"""What a disk may hold after the power went: of a tape's first notes, all that was synced and some of the rest.

    none         nothing that was not synced
    all          everything
    ordered      everything up to a moment, the last write torn at any byte
    scattered    each write by itself: whole, torn, as zeros, or not at all, later ones perhaps before earlier ones

A name is safe once its directory was synced. What is done to one name is kept in order; a rename is one act.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.tape import ROOT, Note

WAYS = ("none", "all", "ordered", "scattered")


@dataclass
class Disk:
    """Directories by number (name -> number) and files by number."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, bytearray] = field(default_factory=dict)

    def lay_out(self, folder: Path, number: int = ROOT) -> None:
        """As real files below an empty folder."""
        for name, inner in self.folders[number].items():
            if inner in self.folders:
                (folder / name).mkdir()
                self.lay_out(folder / name, inner)
            else:
                (folder / name).write_bytes(self.files[inner])

    def apply(self, note: Note, data: bytes) -> None:
        if note.kind == "write":
            _put(self.files[note.of], note.place, data)
        elif note.kind == "truncate":
            file = self.files[note.of]
            file[:] = file[: note.place].ljust(note.place, b"\0")
        else:
            names = self.folders[note.of]
            for old in note.names[: 1 if note.kind != "enter" else 0]:
                names.pop(old, None)
            if note.kind != "leave":
                names[note.names[-1]] = note.place


def _put(file: bytearray, place: int, data: bytes) -> None:
    if len(file) < place:
        file.extend(bytes(place - len(file)))
    file[place : place + len(data)] = data


def after(notes: Sequence[Note], way: str, draw: random.Random) -> Disk:
    """One of the disks that a power cut behind these notes may leave."""
    disk, synced = Disk(), _synced(notes)
    until = draw.randrange(len(notes) + 1) if way == "ordered" else 0
    lost: set[tuple[int, str]] = set()
    for number, note in enumerate(notes):
        if note.kind in ("say", "sync"):
            continue
        if note.kind == "enter":
            (disk.folders if note.folder else disk.files).setdefault(note.place, {} if note.folder else bytearray())  # type: ignore[arg-type]
        if number < synced.get(note.of, 0) or way == "all":
            disk.apply(note, note.data)
        elif way == "ordered" and number <= until:
            torn = note.data[: draw.randrange(len(note.data) + 1)] if number == until else note.data
            if number < until or note.kind == "write":
                disk.apply(note, torn)
        elif way == "scattered":
            _scatter(disk, note, lost, draw)
    return disk


def _synced(notes: Sequence[Note]) -> dict[int, int]:
    """Number of notes, of those about each file and directory, that are safe."""
    found: dict[int, int] = {}
    for note in notes:
        if note.kind == "sync":
            found[note.of] = max(found.get(note.of, 0), note.place)
    return found


def _scatter(disk: Disk, note: Note, lost: set[tuple[int, str]], draw: random.Random) -> None:
    touched = {(note.of, name) for name in note.names}
    if draw.random() < 0.5 or touched & lost:
        lost |= touched
        return
    fate, data = draw.random(), note.data
    if fate < 0.2:
        data = data[: draw.randrange(len(data) + 1)]
    elif fate < 0.4:
        data = bytes(len(data))
    disk.apply(note, data)
