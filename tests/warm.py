"""Processes that start in milliseconds: forked from one that has imported what they run, and otherwise like any other.

Importing the replay server takes a second or two of a processor, which is most of what a test with kills would cost.
That it also starts with `python -m` is shown by every `ramp run` of the tests.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest.mock import patch

from services.common.settings import child_environment
from tests.unit.sources import ROOT

IMPORTED = ["services.replay.main", "services.clients.replay", "tests.chaos.writer", "tests.chaos.altered"]


class WarmProcess:
    """`MODULE.main(arguments)` in a process of its own, whose exit status is what that returns; stderr goes to `log`.

    Example: process = WarmProcess("services.replay.main", ["--dir", ...], log); process.read_line()
    """

    def __init__(self, module: str, arguments: list[str], log: Path, *given: Connection) -> None:
        """`given`: connections of this process that the other one shall have as well, for `main(arguments, *given)`."""
        self._listen, say = multiprocessing.Pipe(duplex=False)
        self._process = _context().Process(
            target=_begin, args=(module, arguments, dict(os.environ), log, say, given), daemon=True
        )
        self._process.start()
        say.close()
        self._lines = os.fdopen(os.dup(self._listen.fileno()), encoding="utf-8")

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def read_line(self) -> str:
        """Of its stdout; "" where it ended."""
        return self._lines.readline().strip()

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        self._process.kill()
        self._process.join()
        self._close()

    def terminate(self) -> None:
        """SIGTERM; does not wait."""
        self._process.terminate()

    def wait(self, timeout_s: float) -> int:
        """The exit status of one that ends by itself."""
        self._process.join(timeout_s)
        assert self._process.exitcode is not None, f"process {self.pid} does not end"
        self._close()
        return self._process.exitcode

    def _close(self) -> None:
        self._lines.close()
        self._listen.close()


@cache
def _context() -> ForkServerContext:
    """With its server running, as the tests' children find the sources."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(IMPORTED)
    with patch.dict(os.environ, child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}")):
        forkserver.ensure_running()
    return found


def _begin(
    module: str,
    arguments: list[str],
    environment: dict[str, str],
    log: Path,
    say: Connection,
    given: tuple[Connection, ...],
) -> None:
    """With the environment of now: that of the process it is forked from may be older."""
    os.environ.update(environment)
    os.chdir(ROOT)
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, sys.stderr.fileno())
    os.dup2(say.fileno(), sys.stdout.fileno())
    os.close(errors)
    say.close()
    program: Callable[..., int | None] = import_module(module).main
    sys.exit(program(arguments, *given))
