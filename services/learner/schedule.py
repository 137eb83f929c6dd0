"""The learning rate's course over the stages of one model's training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise


def lr_factor(update: int, spans: Sequence[int], *, warmup: int, final: float) -> float:
    """Share of the full learning rate at `update`, counted from 0 over all spans.

    Each span (a stage's number of updates) rises linearly over `warmup` updates, at most a quarter of the span, and
    falls along a cosine to `final`. The first span rises from 0, later ones from `final`: each stage ends settled, so
    that what is published at its end can be compared with what comes after. Beyond the last span it stays `final`.
    """
    start = 0
    for index, span in enumerate(spans):
        if update < start + span:
            return _within(update - start, span, min(warmup, span // 4), final, 0.0 if index == 0 else final)
        start += span
    return final


def _within(update: int, span: int, warmup: int, final: float, floor: float) -> float:
    if update < warmup:
        return floor + (1.0 - floor) * (update + 1) / warmup
    done = (update - warmup) / max(1, span - warmup)
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))


def rounds(updates: int, length: int, every: int = 1) -> tuple[int, ...]:
    """A stage of `updates` cut into rounds of `length`, the last one what is left. `every` counts another model's
    updates, one for every so many of these.

    Example: rounds(2400, 1000) is (1000, 1000, 400); rounds(2400, 1000, every=3) is (333, 333, 134)
    """
    edges = [*range(0, updates, length), updates]
    return tuple(end // every - start // every for start, end in pairwise(edges))
