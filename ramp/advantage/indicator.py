"""I = 1[A > eps] (RAMP Eq. 3), with eps per task so that a configured share of its items is positive (RECAP App. F)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ramp.advantage.config import AdvantageConfig
from ramp.types import UNLABELLED, Source

Thresholds = Mapping[tuple[str, bool], float]
"""(task, whether the items are demonstrations) -> eps."""


def positive_threshold(advantage: np.ndarray, share: float) -> float:
    """eps such that round(share * N) of the N finite advantages lie above it, fewer where some are equal to it: equal
    advantages are never told apart. inf where there is nothing to judge by."""
    finite = np.sort(advantage[np.isfinite(advantage)])[::-1]
    wanted = round(share * len(finite))
    if not len(finite) or not wanted:
        return np.inf
    return float(finite[wanted]) if wanted < len(finite) else -np.inf


def thresholds(
    advantage: np.ndarray, task: Sequence[str], source: np.ndarray, config: AdvantageConfig
) -> dict[tuple[str, bool], float]:
    """eps of every task, for demonstrations and for rollouts apart. N items: advantage float [N], task N names,
    source uint8 [N]. A person's steps have no say: they are positive anyway."""
    names, source = np.asarray(task), np.asarray(source)
    found: dict[tuple[str, bool], float] = {}
    for name in sorted(set(names.tolist())):
        for demo in (True, False):
            chosen = (names == name) & (source != Source.HUMAN) & ((source == Source.DEMO) == demo)
            share = config.demo_positive if demo else config.rollout_positive
            found[name, demo] = positive_threshold(np.asarray(advantage)[chosen], share)
    return found


def indicator(advantage: np.ndarray, task: Sequence[str], source: np.ndarray, limits: Thresholds) -> np.ndarray:
    """int8 [N]: 1 wherever a person acted, whatever the advantage; else 1 above the task's threshold, 0 below it, and
    UNLABELLED where the advantage is nan. A task without a threshold has no positive items of its own."""
    advantage, source = np.asarray(advantage), np.asarray(source)
    demo = source == Source.DEMO
    eps = np.array([limits.get((name, bool(d)), np.inf) for name, d in zip(task, demo, strict=True)])
    judged = np.where(np.isnan(advantage), UNLABELLED, advantage > eps)
    return np.where(source == Source.HUMAN, 1, judged).astype(np.int8)
