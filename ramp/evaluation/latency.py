"""How long one answer takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

WARM, REPEATS = 5, 50


def median_seconds(answer: Callable[[], object]) -> float:
    """The median of REPEATS calls after WARM ones that are not counted; `answer` returns when the answer is there."""
    for _ in range(WARM):
        answer()
    return statistics.median(_seconds(answer) for _ in range(REPEATS))


def _seconds(answer: Callable[[], object]) -> float:
    began = time.perf_counter()
    answer()
    return time.perf_counter() - began
