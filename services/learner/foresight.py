"""What a world model says of the frames of an episode, and how far off its imagined futures are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Foresight:
    """Of some frames F of one episode."""

    remaining: np.ndarray  # float32 [F] in [0, 1], by the output that took no loss from this episode
    misses: Mapping[int, tuple[float, float]]  # horizon in steps -> squared error, and that of imagining no change


def misses(
    imagined: Tensor, seen: Tensor, steps: Sequence[int], horizons: Sequence[int]
) -> dict[int, tuple[float, float]]:
    """Summed over the frames whose future, too, is among them.

    imagined     float32 [F, K V n, d], Prediction.tokens
    seen         float32 [F, V, n, d], latents of the frames themselves
    steps        of the frames, within the episode
    horizons     K
    """
    futures, rows = (
        imagined.reshape(len(seen), len(horizons), *seen.shape[1:]),
        {step: row for row, step in enumerate(steps)},
    )
    found = {}
    for column, horizon in enumerate(horizons):
        now = [row for row, step in enumerate(steps) if step + horizon in rows]
        if now:
            real = seen[[rows[steps[row] + horizon] for row in now]]
            error, change = futures[now, column] - real, seen[now] - real
            found[horizon] = (float(error.square().sum()), float(change.square().sum()))
    return found


def joined(parts: Sequence[Foresight]) -> Foresight:
    """Of all parts' frames, in order."""
    total: dict[int, tuple[float, float]] = {}
    for part in parts:
        for horizon, (error, change) in part.misses.items():
            before = total.get(horizon, (0.0, 0.0))
            total[horizon] = (before[0] + error, before[1] + change)
    remaining = [part.remaining for part in parts] or [np.zeros(0, np.float32)]
    return Foresight(remaining=np.concatenate(remaining), misses=total)
