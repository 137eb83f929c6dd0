"""Child processes that are started, watched, restarted and stopped: Redis and the replay server on one machine.

A child dies with the conductor (PR_SET_PDEATHSIG), logs to its own file, sits in a session of its own so that Ctrl-C
reaches the conductor alone, and keeps its ports over a restart so that its clients find it again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import rampwire

import ramp
from ramp.errors import Unavailable
from services.common.settings import child_environment
from services.conductor.journal import Process

READY_S = 60.0  # longest wait for a child to serve
HUNG_S = 30.0  # without an answer, for one that has served
STOP_S = 8.0  # from SIGTERM to SIGKILL
BUDGET = 6  # restarts of one child within BUDGET_S; more means that it cannot be kept up
BUDGET_S = 120.0
BACKOFF_S = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)  # before the first, second ... restart in a row
LEASH = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG, SIGKILL
if os.getppid() == int(sys.argv[1]): os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs in the child before its program takes over. Not a preexec_fn: that would fork this process with all its threads,
which gRPC does not survive."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """How to start one child, and how to tell that it serves."""

    name: str
    argv: Sequence[str]  # the first is a path, not searched for
    env: Mapping[str, str]
    log: Path
    pid_file: Path
    is_ready: Callable[[], bool]  # asked until it says yes; must not block for long
    answers: Callable[[], bool]  # asked from then on; must not block at all
    patience_s: float = READY_S  # from its start until it serves; then it counts as hung
    ends: bool = False  # by itself, with exit code 0: then it is not started again


@dataclass
class Child:
    """One child process, over all its restarts. Has to be used from the main thread: the kernel ties the death signal
    to the thread that started the child."""

    command: Command
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    ready: bool = False
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=BUDGET + 1))
    due: float = 0.0  # monotonic time of the next start
    ready_at: float = 0.0  # monotonic
    verdict: str = ""  # why its process was killed, if it was
    silent_since: float | None = None  # monotonic; None while it does what it is there for
    done: bool = False  # it has ended by itself, and may

    @property
    def pid(self) -> int:
        return self.process.pid if self.process else 0

    @property
    def state(self) -> str:
        """up, starting, down, done or stopped, as the view calls it."""
        if self.done:
            return "done"
        if self.process is None:
            return "down" if self.deaths else "stopped"
        return "up" if self.ready else "starting"

    def start(self) -> None:
        """Start the process; readiness is for `poll` to find out."""
        command = self.command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", LEASH, str(os.getpid()), *command.argv],
                env=dict(command.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.ready, self.silent_since, self.verdict = False, None, ""
        _write_pid(command.pid_file, self.process.pid)

    def poll(self) -> Iterator[Process]:
        """What has happened since the last call: died, started, restarted. One that hangs is killed, and found dead by
        the next call. Raises Unavailable above the budget."""
        if self.process is not None and self.process.poll() is not None:
            yield self._buried()
        if self.process is None and self.deaths and time.monotonic() >= self.due:
            self.start()
            self.restarts += 1
        if self.process is not None and not self.ready and self.command.is_ready():
            self.ready, self.ready_at = True, time.monotonic()
            yield Process(name=self.command.name, what="restarted" if self.restarts else "started", pid=self.pid)
        if self.process is not None and self._silent_s() > self._patience_s():
            self.verdict = f"hung: no answer for {self._patience_s():g} s; "
            self.process.kill()

    def stop(self, deadline_s: float = STOP_S) -> Process | None:
        """SIGTERM, then SIGKILL after `deadline_s`; None where nothing ran."""
        process, self.process, self.ready = self.process, None, False
        self.deaths.clear()
        self.command.pid_file.unlink(missing_ok=True)
        if process is None or process.poll() is not None:
            return None
        process.terminate()
        try:
            process.wait(deadline_s)
            detail = ""
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            detail = f"killed: it did not stop within {deadline_s:g} s"
        return Process(name=self.command.name, what="stopped", pid=process.pid, detail=detail)

    def _silent_s(self) -> float:
        """For how long it has not served, as far as calls of this method have seen."""
        if self.ready and self.command.answers():
            self.silent_since = None
            return 0.0
        self.silent_since = self.silent_since or time.monotonic()
        return time.monotonic() - self.silent_since

    def _patience_s(self) -> float:
        return HUNG_S if self.ready else self.command.patience_s

    def _buried(self) -> Process:
        """Note a death and set the time of the restart."""
        assert self.process is not None
        pid, code, now = self.process.pid, self.process.returncode, time.monotonic()
        self.process, self.ready = None, False
        if self.command.ends and code == 0:
            self.deaths.clear()
            self.done = True
            return Process(name=self.command.name, what="stopped", pid=pid, detail="it is done")
        self.deaths.append(now)
        recent = sum(1 for death in self.deaths if now - death < BUDGET_S)
        if recent > BUDGET:
            raise Unavailable(
                f"{self.command.name} died {recent} times within {BUDGET_S:g} s and is not restarted again; "
                f"the end of {self.command.log}: {last_line(self.command.log)}"
            )
        self.due = now + BACKOFF_S[min(recent, len(BACKOFF_S)) - 1]
        return Process(name=self.command.name, what="died", pid=pid, detail=self.verdict + how_it_ended(code))


def python_path() -> str:
    """Where a child finds this project's packages, installed or not."""
    homes = [Path(package.__path__[0]).resolve().parent for package in (ramp, rampwire)]
    return ":".join(dict.fromkeys(str(home) for home in homes))


def python_environment() -> dict[str, str]:
    """Of a child that is one of this project's programs."""
    inherited = child_environment().get("PYTHONPATH", "")
    return child_environment(PYTHONPATH=":".join(filter(None, [python_path(), inherited])))


def wait_ready(children: Sequence[Child], deadline_s: float = READY_S) -> list[Process]:
    """Wait until all serve. Raises Unavailable where one does not within `deadline_s`."""
    until = time.monotonic() + deadline_s
    events: list[Process] = []
    while True:
        for child in children:
            events.extend(child.poll())
        late = [child for child in children if not (child.ready or child.done)]
        if not late:
            return events
        if time.monotonic() > until:
            command = late[0].command
            words = last_line(command.log)
            raise Unavailable(
                f"{command.name} does not serve after {deadline_s:g} s; the end of {command.log}: {words}"
            )
        time.sleep(0.02)


def stop_stale(pids: Path) -> list[Process]:
    """Stop children that an earlier, killed conductor of this directory left behind."""
    stopped = []
    for file in sorted(pids.glob("*.json")):
        process = _recorded(file)
        if process is not None:
            _stop(process)
            stopped.append(
                Process(name=file.stem, what="stopped", pid=process.pid, detail="left by a killed conductor")
            )
        file.unlink(missing_ok=True)
    return stopped


def how_it_ended(code: int) -> str:
    """A return code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def last_line(log: Path) -> str:
    """The last words of a log, for a person."""
    if not log.exists():
        return "(no log)"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "(empty)"


def _write_pid(file: Path, pid: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"pid": pid, "created": psutil.Process(pid).create_time()}))


def _recorded(file: Path) -> psutil.Process | None:
    """The process that a pid file means, if it still is that one: the start time guards against a reused pid."""
    try:
        record = json.loads(file.read_text())
        process = psutil.Process(record["pid"])
        return process if abs(process.create_time() - record["created"]) < 0.01 else None
    except (ValueError, KeyError, TypeError, psutil.Error):
        return None


def _stop(process: psutil.Process) -> None:
    try:
        process.terminate()
        process.wait(STOP_S)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(STOP_S)
    except psutil.NoSuchProcess:
        return
