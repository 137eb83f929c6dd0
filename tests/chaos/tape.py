"""Everything that this process does to the files below one directory, in order, as a disk would see it.

    with Tape(root) as tape:
        ...                            # any code: os, pathlib, shutil, open(), pyarrow through Python files
        tape.say("acknowledged 7")     # what was promised to whom, at its place among the writes
    tape.notes                         # see outage.py for what a power cut makes of them

An fsync is noted when it returns, and covers what was done before it began. Files and directories are numbered, so that
renaming one or linking it twice is what it is on a disk.
"""

from __future__ import annotations

import builtins
import io
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

CONTENT = ("open", "write", "writev", "pwrite", "ftruncate", "fsync")
NAMES = ("mkdir", "rmdir", "link", "rename", "replace", "unlink", "remove")
REAL = {name: getattr(os, name) for name in (*CONTENT, *NAMES)}
REAL_OPEN = io.open
ROOT = 0


@dataclass(frozen=True, slots=True)
class Note:
    """What was done to one file or directory (`of`)."""

    kind: str  # write, truncate; enter, leave, rename; sync; say
    of: int = -1
    place: int = 0  # write: offset; truncate: size; sync: number of notes that it covers; enter, rename: of what
    data: bytes = b""
    names: tuple[str, ...] = ()  # enter, leave: the name; rename: the old and the new one
    said: Any = None
    folder: bool = False  # enter: a directory


class Killed(BaseException):
    """Stands for kill -9 at the moment of an fsync."""


class Tape:
    """Not for two tapes at a time: it stands in for functions of the process."""

    def __init__(self, root: Path) -> None:
        """`root` exists, is empty, and its own name is taken to be safe."""
        self.root, self.notes = root.resolve(), list[Note]()
        self.fuse = -1  # so many more fsyncs until one raises Killed; below zero: none does
        self._lock = threading.RLock()
        self._ids = {_identity(self.root): ROOT}
        self._count = 1
        self._patches = ExitStack()

    def say(self, said: object) -> None:
        with self._lock:
            self.notes.append(Note("say", said=said))

    def __enter__(self) -> Tape:
        for name in (*CONTENT, *NAMES):
            self._stand_in(os, name, getattr(self, f"_{name}"))
        self._stand_in(os, "fdatasync", self._fsync)
        self._stand_in(io, "open", self._open_file)
        self._stand_in(builtins, "open", self._open_file)
        self._stand_in(shutil, "_use_fd_functions", False)
        self._stand_in(shutil, "_USE_CP_SENDFILE", False)
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.close()

    def _stand_in(self, home: object, name: str, value: object) -> None:
        self._patches.enter_context(patch.object(home, name, value))

    # ---------------------------------------------------------------------------------------- who is who

    def _known(self, path: Any) -> Path | None:
        """The whole path, where it lies below the root."""
        if isinstance(path, int):
            return None
        whole = Path(os.path.abspath(os.fspath(path)))
        return whole if whole.is_relative_to(self.root) else None

    def _id(self, what: int | Path) -> int | None:
        found = os.fstat(what) if isinstance(what, int) else os.lstat(what)
        return self._ids.get((found.st_dev, found.st_ino))

    def _folder(self, path: Path) -> int:
        found = self._id(path.parent)
        assert found is not None, f"{path.parent} was not made under the tape's eyes"
        return found

    def _enter(self, path: Path, *, folder: bool = False) -> None:
        self._ids[_identity(path)] = self._count
        self.notes.append(Note("enter", self._folder(path), self._count, names=(path.name,), folder=folder))
        self._count += 1

    # ------------------------------------------------------------------------------------ names and folders

    def _mkdir(self, path: Any, *rest: Any, **more: Any) -> None:
        with self._lock:
            REAL["mkdir"](path, *rest, **more)
            if known := self._known(path):
                self._enter(known, folder=True)

    def _leave(self, real: Callable[..., None], path: Any, more: Any) -> None:
        with self._lock:
            known = self._known(path)
            real(path, **more)
            if known:
                self.notes.append(Note("leave", self._folder(known), names=(known.name,)))

    def _unlink(self, path: Any, **more: Any) -> None:
        self._leave(REAL["unlink"], path, more)

    _remove = _unlink

    def _rmdir(self, path: Any, **more: Any) -> None:
        self._leave(REAL["rmdir"], path, more)

    def _rename(self, old: Any, new: Any, **more: Any) -> None:
        with self._lock:
            REAL["replace"](old, new, **more)
            source, target = self._known(old), self._known(new)
            if source and target:
                assert source.parent == target.parent, "a rename between directories is not modelled"
                of, moved = self._folder(target), self._id(target)
                assert moved is not None
                self.notes.append(Note("rename", of, moved, names=(source.name, target.name)))

    _replace = _rename

    def _link(self, old: Any, new: Any, **more: Any) -> None:
        with self._lock:
            REAL["link"](old, new, **more)
            if target := self._known(new):
                linked = self._id(target)
                assert linked is not None
                self.notes.append(Note("enter", self._folder(target), linked, names=(target.name,)))

    # ------------------------------------------------------------------------------------------ content

    def _open(self, path: Any, flags: int, *rest: Any, **more: Any) -> int:
        with self._lock:
            known = self._known(path)
            is_new = known is not None and flags & os.O_CREAT and not known.exists()
            descriptor: int = REAL["open"](path, flags, *rest, **more)
            if known and is_new:
                self._enter(known)
            return descriptor

    def _open_file(self, path: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        known = self._known(path)
        if known is None or not set(mode) & set("wax+"):
            return REAL_OPEN(path, mode, buffering, *rest, **more)
        raw = _TapedFile(self, known, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)  # type: ignore[type-var]
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **more)

    def _write(self, descriptor: int, data: Any) -> int:
        with self._lock:
            of = self._id(descriptor)
            place = os.fstat(descriptor).st_size if of is not None else 0  # all that write so append
            written: int = REAL["write"](descriptor, data)
            self.wrote(of, place, data, written)
            return written

    def _writev(self, descriptor: int, parts: Any) -> int:
        whole = b"".join(bytes(memoryview(part).cast("B")) for part in parts)
        with self._lock:
            of = self._id(descriptor)
            place = os.fstat(descriptor).st_size if of is not None else 0
            written: int = REAL["writev"](descriptor, parts)
            self.wrote(of, place, whole, written)
            return written

    def _pwrite(self, descriptor: int, data: Any, place: int) -> int:
        with self._lock:
            written: int = REAL["pwrite"](descriptor, data, place)
            self.wrote(self._id(descriptor), place, data, written)
            return written

    def wrote(self, of: int | None, place: int, data: Any, written: int) -> None:
        if of is not None:
            self.notes.append(Note("write", of, place, bytes(memoryview(data).cast("B")[:written])))

    def _ftruncate(self, descriptor: int, size: int) -> None:
        with self._lock:
            REAL["ftruncate"](descriptor, size)
            self.cut(descriptor, size)

    def cut(self, descriptor: int, size: int) -> None:
        of = self._id(descriptor)
        if of is not None:
            self.notes.append(Note("truncate", of, size))

    def _fsync(self, descriptor: int) -> None:
        of = self._id(descriptor)
        if of is not None and self.fuse == 0:
            self.fuse = -1
            raise Killed
        self.fuse -= of is not None and self.fuse > 0
        before = len(self.notes)
        REAL["fsync"](descriptor)
        if of is not None:
            with self._lock:
                self.notes.append(Note("sync", of, before))


class _TapedFile(io.FileIO):
    """What open() gives, without its buffer."""

    def __init__(self, tape: Tape, path: Path, mode: str) -> None:
        with tape._lock:
            was = path.exists()
            super().__init__(path, mode)
            if not was:
                tape._enter(path)
            elif "w" in mode:
                tape.cut(self.fileno(), 0)
        self._tape, self._appends = tape, "a" in mode

    def write(self, data: Any) -> int:
        with self._tape._lock:
            place = os.fstat(self.fileno()).st_size if self._appends else self.tell()
            written = super().write(data) or 0
            self._tape.wrote(self._tape._id(self.fileno()), place, data, written)
            return written

    def truncate(self, size: int | None = None) -> int:
        with self._tape._lock:
            size = super().truncate(size)
            self._tape.cut(self.fileno(), size)
            return size


def _identity(path: Path) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino
