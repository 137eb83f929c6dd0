"""Waiting in tests: for the thing itself, and only as long as a busy machine may need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], timeout_s: float = 60.0) -> T:
    """What `condition` returns as soon as that is true; fails when it never is."""
    until, pause = time.monotonic() + timeout_s, threading.Event()
    while not (found := condition()):
        assert time.monotonic() < until, "it never came true"
        pause.wait(0.02)
    return found
