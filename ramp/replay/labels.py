"""From a world model's values to advantages and indicators, for a whole generation at a time.

Values are what is stored; advantages and indicators follow from them, so that a restart, or another threshold in the
settings, needs no new annotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ramp.advantage.config import AdvantageConfig
from ramp.types import UNLABELLED, Source


@dataclass(frozen=True, slots=True)
class Labelled:
    """What an annotation needs to know of one ended episode. T steps, F frames."""

    task: str
    max_steps: int
    success: bool
    reward: np.ndarray  # float32 [T], units of steps
    source: np.ndarray  # uint8 [T]
    frame_step: np.ndarray  # int32 [F]


@dataclass(frozen=True, slots=True)
class Labels:
    """Of one episode's items, in the order of its frames."""

    value: np.ndarray  # float32 [F], v of Eq. 8: the negative of the predicted remaining time
    advantage: np.ndarray  # float32 [F]
    indicator: np.ndarray  # int8 [F]


def derive(
    episodes: Mapping[str, Labelled], remaining: Mapping[str, np.ndarray], config: AdvantageConfig
) -> dict[str, Labels]:
    """Labels of every episode in `remaining` (float32 [F] each). Thresholds are taken over all of them per task and
    origin, so they move together when the generation grows."""
    advantages = {name: _advantage(episodes[name], values, config) for name, values in remaining.items()}
    thresholds = _thresholds(episodes, advantages, config)
    return {
        name: Labels(
            value=-remaining[name],
            advantage=advantage,
            indicator=_indicator(episodes[name], advantage, thresholds),
        )
        for name, advantage in advantages.items()
    }


def _advantage(episode: Labelled, remaining: np.ndarray, config: AdvantageConfig) -> np.ndarray:
    """float32 [F]: n-step TD advantages (RAMP Eq. 8) at the frames, in units of the task's limit."""
    length, reward = len(episode.reward), episode.reward.astype(np.float64) / episode.max_steps
    discount = config.gamma ** np.arange(config.n_steps)
    terminal = 0.0 if episode.success else -config.failure_penalty
    found = np.empty(len(remaining))
    for number, step in enumerate(episode.frame_step.tolist()):
        until = min(step + config.n_steps, length)
        ahead = int(np.searchsorted(episode.frame_step, until, side="right")) - 1
        if until < length:
            until = int(episode.frame_step[ahead])
        steps = until - step
        future = terminal if until >= length else -float(remaining[ahead])
        found[number] = reward[step:until] @ discount[:steps] + config.gamma**steps * future + remaining[number]
    return found.astype(np.float32)


Origin = tuple[str, bool]
"""A task, and whether the item is a demonstration."""


def _thresholds(
    episodes: Mapping[str, Labelled], advantages: Mapping[str, np.ndarray], config: AdvantageConfig
) -> dict[Origin, float]:
    """The advantage above which the wanted share of a task's items lies (RECAP App. F); human items have no say."""
    pools: dict[Origin, list[np.ndarray]] = {}
    for name, advantage in advantages.items():
        episode = episodes[name]
        source = episode.source[episode.frame_step]
        for demo in (True, False):
            chosen = advantage[(source == Source.DEMO) if demo else (source == Source.POLICY)]
            pools.setdefault((episode.task, demo), []).append(chosen)
    shares = {True: config.demo_positive, False: config.rollout_positive}
    joined = {origin: np.concatenate(pool) for origin, pool in pools.items()}
    return {origin: float(np.quantile(pool, 1 - shares[origin[1]])) for origin, pool in joined.items() if len(pool)}


def _indicator(episode: Labelled, advantage: np.ndarray, thresholds: Mapping[Origin, float]) -> np.ndarray:
    """int8 [F]: 1 above the threshold, and wherever a person acted; else 0."""
    source = episode.source[episode.frame_step]
    limits = [thresholds.get((episode.task, demo), np.inf) for demo in (False, True)]
    above = advantage > np.where(source == Source.DEMO, limits[True], limits[False])
    return (above | (source == Source.HUMAN)).astype(np.int8)


def unlabelled(count: int) -> Labels:
    """What items have before any annotation names them."""
    missing = np.full(count, np.nan, dtype=np.float32)
    return Labels(value=missing, advantage=missing.copy(), indicator=np.full(count, UNLABELLED, dtype=np.int8))
