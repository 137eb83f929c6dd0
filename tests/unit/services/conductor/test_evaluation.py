"""What is asked of actors in an evaluation, and what is told of their thoughts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ramp.errors import Invalid
from services.cli.evaluate import spoken
from services.common.settings import compose
from services.conductor.evaluation import assignments, thinking_aloud
from tests.unit.services.conductor.summaries import summary


def test_the_first_episode_of_each_task_is_told_aloud() -> None:
    settings = compose("counting", None, ["policy.thought=true"])
    todo = thinking_aloud(settings, assignments(settings, 3, 4))
    first = settings.evaluation.first_seed
    assert [(each.task, each.seed) for each in todo if each.aloud] == [(task, first) for task in settings.tasks]
    assert len(todo) == 8


def test_policies_that_do_not_think_have_nothing_to_tell() -> None:
    settings = compose("counting", None, [])
    with pytest.raises(Invalid, match="do not think"):
        thinking_aloud(settings, assignments(settings, 3, 4))


def test_what_a_policy_repeats_is_told_once() -> None:
    told = ((0, "reach"), (8, "reach"), (16, "move"), (24, "move"), (32, "reach"))
    silent, loud = (replace(summary("eval", "a", seed), thoughts=each) for seed, each in enumerate([(), told]))
    assert spoken([silent, loud]) == [(0, "reach"), (16, "move"), (32, "reach")]
