"""Remaining time: what the value model learns and what Eq. 8 takes the negative of."""

from __future__ import annotations

import numpy as np

from ramp.errors import Invalid


def remaining_time(length: int, *, max_steps: int, success: bool, failure_penalty: float = 1.0) -> np.ndarray:
    """float32 [T] in [0, 1]: (T - t) / T_max before action t of an episode of T steps; after a failure failure_penalty
    is added and the sum clipped to 1 (RAMP Eq. 5, RECAP's normalisation by the task's limit, so that speed counts).

    Raises Invalid where the episode is longer than the limit.
    """
    if not 0 < length <= max_steps:
        raise Invalid("length", length, f"an episode has 1 to max_steps={max_steps} steps")
    left = (length - np.arange(length)) / max_steps
    return np.minimum(left if success else left + failure_penalty, 1.0).astype(np.float32)
