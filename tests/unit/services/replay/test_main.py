"""What the settings say reaches the server."""

from __future__ import annotations

from services.common.settings import compose
from services.replay.main import served_calls, shard_config


def test_the_settings_tasks_are_those_that_the_shard_knows() -> None:
    settings = compose("counting", None, [])
    assert shard_config(settings).tasks == settings.tasks == ("count-up", "count-down")


def test_every_actor_of_a_large_run_finds_a_free_call() -> None:
    settings = compose("metaworld", None, ["actors.count=1000", "learner.workers=8"])
    assert served_calls(settings) > 1000 + 2 * 8
