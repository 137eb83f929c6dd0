"""The conductor and everything below it: processes by role, and how much memory they take."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psutil

OWN = "conductor"
_MARKS: Sequence[tuple[str, str]] = (  # what a command line has to contain -> role
    ("redis-server", "redis"),
    ("services.replay.main", "replay"),
    ("ray::RolloutActor", "actor"),
    ("RayTrainWorker", "learner"),
    ("ray::_RayTrain", "learner"),
    ("TrainController", "ray"),
    ("/ray/", "ray"),
    ("ray::", "ray"),
    ("raylet", "ray"),
    ("gcs_server", "ray"),
)
_SHARD = re.compile(r"services\.replay\.main .*--shard (\S+)")


def by_role(pid: int) -> dict[str, int]:
    """Bytes of the process `pid` and of all its descendants, by role. Processes that end meanwhile are left out."""
    memory: Counter[str] = Counter({OWN: size(pid)})
    for process in psutil.Process(pid).children(recursive=True):
        try:
            memory[role_of(" ".join(process.cmdline()))] += size(process.pid)
        except psutil.Error:
            continue
    return dict(memory)


def kill(pid: int, mark: str) -> None:
    """SIGKILL to the descendants of the process `pid` whose command line begins with `mark`."""
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if " ".join(process.cmdline()).startswith(mark):
                process.kill()
        except psutil.Error:
            continue


def kill_one(ancestor: int, pid: int, role: str) -> None:
    """SIGKILL to the process `pid` if it is a descendant of `ancestor` in that role; a worker on another machine is
    not, whatever has its number here."""
    for process in psutil.Process(ancestor).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.pid == pid and role_of(" ".join(process.cmdline())) == role:
                process.kill()


def role_of(command_line: str) -> str:
    """One of several replay shards goes by its own name."""
    if (shard := _SHARD.search(command_line)) is not None:
        return shard[1]
    return next((role for mark, role in _MARKS if mark in command_line), OWN)


def size(pid: int) -> int:
    """Proportional set size: pages that processes share are counted once in the sum. Resident size where the kernel
    does not tell; 0 for a process that is gone."""
    try:
        return _pss(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (OSError, ValueError):
        try:
            return int(psutil.Process(pid).memory_info().rss)
        except psutil.Error:
            return 0


def _pss(rollup: str) -> int:
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024
