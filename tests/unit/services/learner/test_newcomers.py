"""New experience is followed from its end to the first policy trained with it, and judged by what came true."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from ramp.replay.info import EpisodeInfo
from ramp.types import Episode, Outcome
from services.common import metrics
from services.learner.foresight import Foresight, joined, misses
from services.learner.newcomers import OLD_S, Newcomers
from tests.experience import make_header, make_steps


def released() -> tuple[float, float]:
    """How many, and the sum of their seconds."""
    found = metrics.LEARNER_RELEASE_SECONDS.collect()
    samples = {sample.name: sample.value for family in found for sample in family.samples if "le" not in sample.labels}
    return samples["ramp_learner_release_seconds_count"], samples["ramp_learner_release_seconds_sum"]


def ended(name: str, at: float, table: str = "online") -> EpisodeInfo:
    return EpisodeInfo(
        episode_id=name,
        task="t",
        outcome=Outcome.SUCCESS,
        steps=24,
        frames=6,
        human_steps=0,
        policy_version=1,
        tables=(table,),
        seed=0,
        ended_at=at,
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1e9]
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_the_first_policy_after_training_counts_once(clock: list[float]) -> None:
    newcomers, (count, seconds) = Newcomers(1.0), released()
    newcomers.heard([ended("a", clock[0] - 100), ended("b", clock[0] - 50)])
    newcomers.trained([("a", 0), ("a", 4)])
    clock[0] += 20
    newcomers.published()
    assert released() == (count + 1, seconds + 120)
    newcomers.heard([ended("a", clock[0] - 120)])
    newcomers.trained([("a", 0)])
    clock[0] += 20
    newcomers.published()
    assert released() == (count + 1, seconds + 120)


def test_an_episode_that_is_heard_of_after_its_policy_counts_by_that_policy(clock: list[float]) -> None:
    newcomers, (count, seconds) = Newcomers(1.0), released()
    newcomers.trained([("a", 0)])
    newcomers.published()
    clock[0] += 500
    newcomers.heard([ended("a", 1e9 - 30)])
    assert released() == (count + 1, seconds + 30)


def test_demonstrations_and_what_is_old_say_nothing_about_the_loop(clock: list[float]) -> None:
    newcomers, before = Newcomers(1.0), released()
    newcomers.heard([ended("demo", clock[0] - 5, "demos"), ended("old", clock[0] - OLD_S - 5)])
    newcomers.trained([("demo", 0), ("old", 0)])
    newcomers.published()
    assert released() == before


def test_values_are_compared_with_what_came_true() -> None:
    episode = Episode(
        header=replace(make_header(), task="judged", max_steps=48), steps=make_steps(0, 24), outcome=Outcome.SUCCESS
    )
    found = Foresight(remaining=np.array([0.5, 0.75], np.float32), misses={4: (3.0, 4.0)})
    Newcomers(1.0).judge(episode, np.array([0, 12], np.int32), found)
    value = metrics.REGISTRY.get_sample_value
    assert value("ramp_learner_value_predicted_ratio_total", {"task": "judged"}) == pytest.approx(1.25)
    assert value("ramp_learner_value_true_ratio_total", {"task": "judged"}) == pytest.approx(0.75)
    assert value("ramp_learner_value_error_ratio_sum", {"task": "judged"}) == pytest.approx(0.5)
    assert value("ramp_learner_imagined_error_total", {"horizon": "4"}) >= 3.0


def test_a_future_is_compared_with_the_frame_that_shows_it() -> None:
    """Three frames, four steps apart; what is imagined four steps ahead is the frame one row on, but for one part."""
    seen = torch.arange(12, dtype=torch.float32).reshape(3, 1, 2, 2)
    imagined = torch.cat([seen[[1, 2, 2]], seen[[2, 2, 2]]], dim=1)
    imagined[0, 0, 0, 0] += 2.0
    found = misses(imagined.flatten(1, 2), seen, [0, 4, 8], (4, 8))
    assert found[4] == (4.0, pytest.approx(2 * 4 * 16.0))
    assert found[8] == (0.0, pytest.approx(4 * 64.0))
    assert joined([Foresight(remaining=np.zeros(1, np.float32), misses=found)] * 2).misses[4][0] == 8.0


def test_an_episode_without_a_later_frame_tells_nothing_of_its_future() -> None:
    seen = torch.zeros(1, 1, 2, 2)
    assert misses(torch.zeros(1, 2, 2), seen, [0], (4,)) == {}
