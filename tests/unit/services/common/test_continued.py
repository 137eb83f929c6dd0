"""A run that goes on by the words with which it was begun, some of them changed."""

from __future__ import annotations

import pytest

from ramp.errors import Invalid
from services.common.continued import continued
from services.common.settings import Settings, compose


def counting(*overrides: str) -> Settings:
    return compose("counting", None, overrides)


def test_the_place_is_the_one_that_is_wanted_now() -> None:
    stored = counting("actors.count=4", "redis.url=redis://old:6379/0", "seed=7")
    now = continued(stored, counting("actors.count=3", "seed=7"))
    assert (now.actors.count, now.redis.url, now.seed) == (3, "", 7)


def test_what_is_not_asked_for_stays_as_it_was_begun() -> None:
    assert continued(counting("seed=7"), counting()).seed == 7


@pytest.mark.parametrize("word", ["seed=8", "stages.joint_updates=9999"])
def test_a_run_is_not_changed_under_its_feet(word: str) -> None:
    with pytest.raises(Invalid, match="start another run in a new --dir"):
        continued(counting("seed=7"), counting(word))


def test_a_run_keeps_its_recipe() -> None:
    with pytest.raises(Invalid, match="begun with counting"):
        continued(counting(), compose("debug", None, []))
