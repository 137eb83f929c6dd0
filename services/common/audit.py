"""What people and services did that cannot be taken back: one JSON object a line, in `logs/audit.jsonl` of the run.

{"time": "2026-05-01T08:00:00+00:00", "who": "ada", "role": "operator", "what": "Delete",
 "episodes": ["e7"], "reason": "a person was in the picture", "result": "done"}
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ramp.errors import RampError

logger = logging.getLogger(__name__)


class Audit:
    """Appends to the log; several processes may. Without a path nothing is written."""

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._lock = path, threading.Lock()

    @contextmanager
    def act(self, who: str, role: str, what: str, **details: object) -> Iterator[None]:
        """The body does it; the line says whether it was done or refused."""
        try:
            yield
        except RampError as error:
            self.write(who, role, what, **details, result=f"refused: {error}"[:500])
            raise
        self.write(who, role, what, **details, result="done")

    def write(self, who: str, role: str, what: str, **details: object) -> None:
        """On the disk when it returns. A line that cannot be written is logged: what it tells of has happened."""
        if self._path is None:
            return
        now = datetime.now(UTC).isoformat(timespec="seconds")
        line = json.dumps({"time": now, "who": who, "role": role, "what": what, **details}, ensure_ascii=False)
        try:
            with self._lock:
                _append(self._path, line.encode() + b"\n")
        except OSError as error:
            logger.error("the audit log %s cannot be written (%s): %s", self._path, error, line)


def audit_log(tokens: Path) -> Path:
    """The audit log of a file of tokens; in a run's directory that is the run's."""
    return tokens.parent / "logs" / "audit.jsonl"


def person() -> str:
    """Who types a command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o640), "wb", buffering=0) as file:
        file.write(line)
        os.fsync(file.fileno())
