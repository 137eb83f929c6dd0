"""What becomes of new experience: how soon it is in a published policy, and whether the world model saw it coming."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ramp.data.transforms import remaining_time
from ramp.replay.info import EpisodeInfo
from ramp.types import Episode, Outcome
from services.common import metrics
from services.learner.foresight import Foresight
from services.learner.latents import Key

DEMOS = "demos"  # table whose episodes wait for whole stages: they say nothing about the loop
OLD_S = 86_400.0  # an episode that is older when it is first heard of came with another life of the learner
KEPT = 100_000  # episodes remembered of each kind; the oldest are forgotten


class Newcomers:
    """Worker 0's. An episode's way: heard of (with the time at which it ended), trained with, published; in any order
    of the first two. It is counted once, when both ends are known."""

    def __init__(self, failure_penalty: float) -> None:
        self._failure_penalty = failure_penalty
        self._ended: dict[str, float] = {}
        self._trained: dict[str, None] = {}  # since the last publication
        self._published: dict[str, float] = {}  # when
        self._counted: dict[str, None] = {}

    def heard(self, infos: Iterable[EpisodeInfo]) -> None:
        """Episodes that replay holds; some of them new."""
        oldest = time.time() - OLD_S
        for info in infos:
            if DEMOS not in info.tables and info.episode_id not in self._counted and info.ended_at > oldest:
                self._ended[info.episode_id] = info.ended_at
        self._count()

    def trained(self, keys: Sequence[Key]) -> None:
        """A policy update was applied to these frames."""
        for episode, _ in keys:
            if episode not in self._counted and episode not in self._published:
                self._trained[episode] = None

    def published(self) -> None:
        """What was trained until now is in a version that anybody may load."""
        self._published.update(dict.fromkeys(self._trained, time.time()))
        self._trained.clear()
        self._count()

    def judge(self, episode: Episode, steps: np.ndarray, found: Foresight) -> None:
        """Compare what was foreseen at `steps` int32 [F] of an episode that nobody has trained with yet with what came
        true."""
        length, header = len(episode.steps), episode.header
        limit, success = np.full(len(steps), header.max_steps), np.full(len(steps), episode.outcome is Outcome.SUCCESS)
        true = remaining_time(steps, np.full(len(steps), length), limit, success, self._failure_penalty)
        for error in np.abs(found.remaining - true):
            metrics.LEARNER_VALUE_ERROR.labels(header.task).observe(float(error))
        metrics.LEARNER_VALUE_PREDICTED.labels(header.task).inc(float(found.remaining.sum()))
        metrics.LEARNER_VALUE_TRUE.labels(header.task).inc(float(true.sum()))
        for horizon, (error, change) in found.misses.items():
            metrics.LEARNER_IMAGINED_ERROR.labels(str(horizon)).inc(error)
            metrics.LEARNER_IMAGINED_CHANGE.labels(str(horizon)).inc(change)

    def _count(self) -> None:
        for episode in [each for each in self._ended if each in self._published]:
            seconds = self._published.pop(episode) - self._ended.pop(episode)
            metrics.LEARNER_RELEASE_SECONDS.observe(max(seconds, 0.0))
            self._counted[episode] = None
        memories: tuple[dict[str, Any], ...] = (self._ended, self._published, self._counted)
        for kept in memories:
            for episode in list(kept)[: max(0, len(kept) - KEPT)]:
                kept.pop(episode)
