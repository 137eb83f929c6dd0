"""kill -9 of every kind of process in mid-run: the run goes on, and no acknowledged step is lost or doubled."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.conductor import journal
from services.conductor.journal import STAGES
from tests.loop.launched import (
    LONG_JOINT_STAGE,
    LaunchedRun,
    assert_books_agree,
    assert_stops_in_order,
    has_ended,
    labels,
    resume_to_the_end,
    stages,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[LaunchedRun]:
    """A run of the test world that has got to the joint stage."""
    yield from joint_run(tmp_path / "run", *LONG_JOINT_STAGE)


@pytest.fixture
def lasting_run(tmp_path: Path) -> Iterator[LaunchedRun]:
    """The same, long enough to be broken four times before it is through."""
    yield from joint_run(tmp_path / "run", *LONG_JOINT_STAGE, "stages.joint_updates=400")


@pytest.fixture
def endless_run(tmp_path: Path) -> Iterator[LaunchedRun]:
    """The same, until it is told to stop."""
    yield from joint_run(tmp_path / "run", "actors.episode_s=30", "stages.joint_updates=1000000")


def joint_run(folder: Path, *words: str) -> Iterator[LaunchedRun]:
    launched = LaunchedRun(folder, "counting", *words)
    try:
        launched.until(launched.is_in_joint_stage)
        yield launched
    finally:
        launched.kill()


def assert_it_got_there(run: LaunchedRun) -> None:
    """All stages, each evaluation once, every step once."""
    events = run.events()
    assert stages(events) == list(STAGES)
    counted = labels(events)
    assert (counted["stage2"], counted["final"]) == (1, 1)
    assert_books_agree(run.folder)


def died(run: LaunchedRun) -> dict[int, journal.Process]:
    """Deaths by process id."""
    return {event.pid: event for event in run.news(journal.Process) if event.what == "died"}


def restarted(run: LaunchedRun) -> list[str]:
    return [event.name for event in run.news(journal.Process) if event.what == "restarted"]


def until_back(run: LaunchedRun, victims: set[int]) -> None:
    """Until these were found dead and started again, and rollouts have come in since."""
    run.until(lambda: victims <= died(run).keys())
    names = {died(run)[victim].name for victim in victims}
    run.until(lambda: names <= set(restarted(run)))
    before = run.rollouts()
    run.until(lambda: run.rollouts() > before)


def test_every_service_is_killed_and_started_again_and_the_run_gets_there(lasting_run: LaunchedRun) -> None:
    """One after the other; the learner first, as it has to go back to its checkpoint."""
    run = lasting_run
    for role in ("learner", "replay", "actor", "redis"):
        victim = run.pids(role)[0]
        os.kill(victim, signal.SIGKILL)
        until_back(run, {victim})
    assert run.finish() == 0, run.last_words()
    assert [name.split("-")[0] for name in restarted(run)] == ["learner", "replay", "actor", "redis"]
    assert "going on from checkpoint" in (run.folder / "logs" / "learner.log").read_text()
    assert_it_got_there(run)


def test_a_service_that_hangs_is_killed_and_started_again(endless_run: LaunchedRun) -> None:
    """Stopped, it lives, keeps its ports and its locks, and answers nobody. Actor and Redis first, as the run gets on
    without them; then replay, for which all of it waits."""
    run = endless_run
    for roles in (("actor", "redis"), ("replay",)):
        victims = {run.pids(role)[0] for role in roles}
        for victim in victims:
            os.kill(victim, signal.SIGSTOP)
        until_back(run, victims)
        assert all(died(run)[victim].detail.startswith("hung") for victim in victims)
    assert sorted(name.split("-")[0] for name in restarted(run)) == ["actor", "redis", "replay"]
    run.until(lambda: not list(run.folder.glob("spool/*/*/*.spool")))  # an end in order waits for the last ones only
    assert_stops_in_order(run, signal.SIGINT)
    assert_books_agree(run.folder)


def test_a_killed_conductor_takes_all_with_it_and_the_resumed_run_gets_there(run: LaunchedRun) -> None:
    below = run.processes()
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()

    resume_to_the_end(run.folder)
    eventually(lambda: all(map(has_ended, below)))
    assert_it_got_there(run)
