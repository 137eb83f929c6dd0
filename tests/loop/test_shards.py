"""A run whose experience lies on two replay shards, one of which is killed on the way."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.clients.rendezvous import home
from services.conductor import journal
from services.conductor.journal import STAGES
from tests.loop.launched import LaunchedRun, assert_books_agree, stages

pytestmark = [pytest.mark.loop, pytest.mark.timeout(900)]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[LaunchedRun]:
    launched = LaunchedRun(tmp_path / "run", "counting", "replay.shards=2")
    try:
        yield launched
    finally:
        launched.kill()


def test_a_run_on_two_shards_goes_through_though_one_of_them_dies(run: LaunchedRun) -> None:
    run.until(lambda: len(run.news(journal.Episode)) >= 3)  # early: the run is a short one, and shall see it come back
    [victim] = run.pids("shard-1")
    os.kill(victim, signal.SIGKILL)
    run.until(lambda: any(event.what == "died" and event.pid == victim for event in run.news(journal.Process)))
    assert run.finish() == 0, run.last_words()
    assert stages(run.events()) == list(STAGES)
    assert [event.name for event in run.news(journal.Process) if event.what == "restarted"] == ["shard-1"]
    shown = {shard["name"]: shard for shard in json.loads((run.folder / "status.json").read_text())["shards"]}
    assert all(shown[name]["episodes"] for name in ("shard-0", "shard-1"))
    assert_books_agree(run.folder)
    events = [event for event in run.events() if isinstance(event, journal.Episode)]
    stored = {event.summary.episode_id for event in events if event.summary.purpose != "eval"}
    assert {home(each, shown) for each in stored} == set(shown)
