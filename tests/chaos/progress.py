"""How far a proof has come, and what it has found."""

from __future__ import annotations

import sys
import time
from typing import Any

Row = dict[str, Any]
EVERY_S = 10.0


class Progress:
    """Prints a line now and then. `done` counts."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self.done = what, total, 0
        self._began = self._told = time.monotonic()

    def step(self) -> None:
        self.done += 1
        now = time.monotonic()
        if now - self._told >= EVERY_S or self.done == self._total:
            self._told = now
            took = now - self._began
            rate = 60.0 * self.done / max(took, 1e-3)
            print(f"{self._what}: {self.done} of {self._total}, {rate:.3g} a minute", file=sys.stderr, flush=True)
