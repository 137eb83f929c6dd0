"""Two sides that take turns within one process, so that a busy machine is busy for both."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

WARM_UP = 3  # pairs that do not count


def alternate(first: Callable[[], object], second: Callable[[], object], pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of each call, in pairs; each side begins every other pair."""
    ours: list[float] = []
    theirs: list[float] = []
    for pair in range(pairs + WARM_UP):
        sides = [(first, ours), (second, theirs)]
        for call, seconds in sides if pair % 2 else sides[::-1]:
            began = time.perf_counter()
            call()
            _wait_for_gpu()
            if pair >= WARM_UP:
                seconds.append(time.perf_counter() - began)
    return ours, theirs


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
