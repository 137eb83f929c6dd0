"""A contestant's processes: a server that says its address, and clients that are asked (benchmarks/peers/lines.py)."""

from __future__ import annotations

import contextlib
import json
import selectors
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.peers.lines import Answer
from benchmarks.runs import MeasurementError
from services.common.settings import child_environment

ROOT = Path(__file__).parents[2]
LIMIT_S = 300.0  # for one answer
STOP_S = 10.0
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


class Child:
    """A Python module in a process of its own, whose every answer is a line. Its messages go to `log`."""

    def __init__(self, python: Path | str, module: str, *words: object, log: Path) -> None:
        command = [str(python), "-m", module, *map(str, words)]
        paths = f"{ROOT}:{ROOT / 'proto'}"
        self._start(command, log, child_environment(PYTHONPATH=paths, **QUIET))

    def _start(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self._log, self._name = log, command[2]
        with log.open("wb") as messages:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                cwd=ROOT,
                env=environment,
            )
        self._watched = psutil.Process(self._process.pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)

    @property
    def _out(self) -> Any:
        return self._process.stdout

    def line(self, limit_s: float = LIMIT_S) -> str:
        """What it prints next. Raises MeasurementError where it ended or took longer."""
        if not self._selector.select(limit_s):
            raise MeasurementError(f"{self._name}: no answer within {limit_s:g} s")
        line = str(self._out.readline()).strip()
        if not line:
            tail = self._log.read_text(errors="replace")[-500:]
            raise MeasurementError(f"{self._name}: ended; it said: {tail}")
        return line

    def ask(self, do: str, **facts: object) -> Answer:
        """Raises MeasurementError where it cannot."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **facts}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.line()
        answer: Answer = json.loads(self.line())
        if "error" in answer:
            raise MeasurementError(f"{self._name}: {do}: {answer['error'][:500]}")
        return answer

    def cpu(self) -> float:
        """Seconds of CPU so far."""
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        """End of input ends a client; a server is terminated."""
        with contextlib.suppress(BrokenPipeError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._selector.close()
        self._out.close()


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A server, a client, and another client that looks on."""

    server: Child
    client: Child
    probe: Child

    def ask(self, do: str, **facts: object) -> Answer:
        """The client's answer, with the seconds of CPU that it cost both sides. Raises MeasurementError."""
        server, client = self.server.cpu(), self.client.cpu()
        answer = self.client.ask(do, **facts)
        return {**answer, "server_cpu_s": self.server.cpu() - server, "client_cpu_s": self.client.cpu() - client}

    def watched(self, what: str, do: str, times: int = 1) -> tuple[list[Answer], list[float]]:
        """Answers of the client, and seconds of every call that the probe made meanwhile."""
        self.probe.ask("probe", what=what)
        try:
            answers = [self.client.ask(do) for _ in range(times)]
        finally:
            found = self.probe.ask("stop")
        return answers, found["latencies"]
