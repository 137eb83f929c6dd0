"""From a world model's values to advantages and indicators, for a whole generation at a time.

Values are what is stored; advantages and indicators follow from them, so that a restart, or another threshold in the
settings, needs no new annotation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ramp.advantage import AdvantageConfig, indicator, n_step_advantage, thresholds
from ramp.replay.info import AnnotateResult
from ramp.types import EpisodeHeader, Outcome, StepBatch


@dataclass(frozen=True, slots=True)
class Labelled:
    """What an annotation needs to know of one ended episode. T steps, F frames."""

    task: str
    max_steps: int
    success: bool
    reward: np.ndarray  # float32 [T], units of steps
    source: np.ndarray  # uint8 [T]
    frame_step: np.ndarray  # int32 [F]

    @classmethod
    def of(cls, header: EpisodeHeader, outcome: Outcome, steps: StepBatch) -> Labelled:
        return cls(
            task=header.task,
            max_steps=header.max_steps,
            success=outcome is Outcome.SUCCESS,
            reward=steps.reward,
            source=steps.source,
            frame_step=steps.step[steps.frame_row],
        )


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
    indicators = _indicators(episodes, advantages, config)
    return {
        name: Labels(value=-remaining[name], advantage=advantage, indicator=indicators[name])
        for name, advantage in advantages.items()
    }


def _advantage(episode: Labelled, remaining: np.ndarray, config: AdvantageConfig) -> np.ndarray:
    return n_step_advantage(
        remaining,
        episode.frame_step,
        episode.reward,
        max_steps=episode.max_steps,
        success=episode.success,
        n=config.n_steps,
        failure_penalty=config.failure_penalty,
    )


def _indicators(
    episodes: Mapping[str, Labelled], advantages: Mapping[str, np.ndarray], config: AdvantageConfig
) -> dict[str, np.ndarray]:
    if not advantages:
        return {}
    counts = [len(advantage) for advantage in advantages.values()]
    tasks = [episodes[name].task for name, count in zip(advantages, counts, strict=True) for _ in range(count)]
    source = np.concatenate([episodes[name].source[episodes[name].frame_step] for name in advantages])
    joined = np.concatenate(list(advantages.values()))
    found = indicator(joined, tasks, source, thresholds(joined, tasks, source, config))
    return dict(zip(advantages, np.split(found, np.cumsum(counts)[:-1]), strict=True))


def result(generation: Mapping[str, Labels]) -> AnnotateResult:
    """What a generation comes to."""
    items = sum(len(labels.indicator) for labels in generation.values())
    positive = sum(int((labels.indicator == 1).sum()) for labels in generation.values())
    return AnnotateResult(episodes=len(generation), items=items, positive=positive / max(items, 1))


def unlabelled(source: np.ndarray) -> Labels:
    """What items have before any annotation names them; `source` uint8 [F] tells a person's, which are good."""
    missing = np.full(len(source), np.nan, dtype=np.float32)
    return Labels(value=missing, advantage=missing.copy(), indicator=indicator(missing, [""] * len(source), source, {}))
