"""The replay server with a clock, a disk and a keepalive that a test has in hand: services.replay.main, its arguments.

<directory above --dir>/altered/hold     while this file is there, no fsync returns
                                clock    seconds by which time.time() is ahead, read at every call
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import grpc

from services.replay import main as replay
from services.replay import vanished

KEEPALIVE = {
    "grpc.keepalive_time_ms": 1_000,
    "grpc.keepalive_timeout_ms": 3_000,
    "grpc.http2.ping_timeout_ms": 3_000,
}
POLL_S = 0.005


def alter(home: Path) -> None:
    """From here on, in this process."""
    fsync, now, server, pause = os.fsync, time.time, grpc.server, threading.Event()

    def held_fsync(descriptor: int) -> None:
        while (home / "hold").exists():
            pause.wait(POLL_S)
        fsync(descriptor)

    def set_time() -> float:
        clock = home / "clock"
        return now() + (float(clock.read_text() or 0) if clock.exists() else 0.0)

    def impatient_server(*rest: Any, options: Any = (), **more: Any) -> grpc.Server:
        return server(*rest, options=list((dict(options) | KEEPALIVE).items()), **more)

    os.fsync, time.time, grpc.server = held_fsync, set_time, impatient_server
    vanished.IDLE_S, vanished.BETWEEN_S, vanished.PROBES = 1, 1, 2


def main(arguments: list[str]) -> int:
    """0 after an orderly stop."""
    alter(Path(arguments[arguments.index("--dir") + 1]).parent / "altered")
    return replay.main(arguments)
