"""A run's directory: where everything of it lies, and that only one conductor holds it."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from ramp.errors import Conflict, NotFound
from ramp.replay.places import shard_places
from services.common.directory import Shard, in_words

LOOK_S = 0.1  # longer than `is_held` takes


class Occupied(Conflict):
    """Another conductor holds the directory."""


@dataclass(frozen=True, slots=True)
class RunDir:
    """Paths of one run. Example: RunDir(Path("runs/latest").resolve()).journal"""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "settings.yaml"

    @property
    def journal(self) -> Path:
        return self.path / "journal.jsonl"

    @property
    def replay(self) -> Path:
        return self.path / "replay"

    def replay_address(self) -> str:
        """Where this run's own replay servers were last, in the directory's words; "" where one has never served."""
        files = {name: place / "address" for name, place in shard_places(self.replay).items()}
        if not all(file.exists() for file in files.values()):
            return ""
        return in_words(Shard(name, file.read_text(encoding="utf-8").strip()) for name, file in files.items())

    @property
    def registry(self) -> Path:
        return self.path / "registry"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def spool(self) -> Path:
        return self.path / "spool"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def pids(self) -> Path:
        return self.path / "pids"

    @property
    def targets(self) -> Path:
        """What Prometheus scrapes, in the format of its file_sd_configs."""
        return self.path / "prometheus.json"

    @property
    def view(self) -> Path:
        """The last RunView as JSON, for `ramp status`."""
        return self.path / "status.json"

    @property
    def lock(self) -> Path:
        return self.path / "conductor.lock"

    @property
    def audit(self) -> Path:
        """What was done that cannot be taken back, and by whom: a JSON object a line."""
        return self.path / "logs" / "audit.jsonl"

    def log(self, service: str) -> Path:
        return self.path / "logs" / f"{service}.log"

    def make(self) -> None:
        """Create the folders that the conductor's own files need."""
        for folder in (self.path, self.path / "logs", self.pids, self.redis):
            folder.mkdir(parents=True, exist_ok=True)


class Lock:
    """Held as long as this conductor lives; the kernel frees it when the process dies, however it dies."""

    def __init__(self, rundir: RunDir, patience_s: float = 0.0) -> None:
        """Raises Occupied where another conductor still holds the directory after `patience_s`."""
        rundir.path.mkdir(parents=True, exist_ok=True)
        self._file = os.open(rundir.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not self._taken(time.monotonic() + patience_s):
            holder = os.read(self._file, 32).decode().strip()
            os.close(self._file)
            raise Occupied(
                "run directory", rundir.path, f"process {holder} is running it; stop that one, or choose another --dir"
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def _taken(self, until: float) -> bool:
        """Whether it is ours. Somebody who looks whether it is held has it for a moment; so it is tried twice."""
        while not self._take():
            time.sleep(LOOK_S)
            if time.monotonic() > until:
                return self._take()
        return True

    def _take(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        os.close(self._file)


def is_held(rundir: RunDir) -> bool:
    """Whether a conductor runs this directory now."""
    if not rundir.lock.exists():
        return False
    with rundir.lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def find(directory: Path | None, runs: Path = Path("runs")) -> RunDir:
    """The directory of a run that exists: `directory`, or the latest. Raises NotFound with the remedy."""
    path = directory or runs / "latest"
    if not (path / "settings.yaml").is_file():
        remedy = "start one with `ramp run`" if directory is None else "give the --dir of a run"
        raise NotFound(f"no run in {path}: {remedy}")
    return RunDir(path.resolve())


def point_latest(rundir: RunDir) -> None:
    """Let `latest` beside the run's directory lead to it; leaves alone what is not a link."""
    link = rundir.path.parent / "latest"
    if link.exists() and not link.is_symlink():
        return
    partial = link.with_name(f".latest-{os.getpid()}")
    partial.symlink_to(rundir.path.name)
    partial.replace(link)
