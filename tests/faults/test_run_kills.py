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
    launched = LaunchedRun(tmp_path / "run", "counting", "actors.episode_s=40", *LONG_JOINT_STAGE)
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


@pytest.mark.parametrize("role", ["replay", "actor", "redis"])
def test_a_killed_service_is_started_again_and_the_run_goes_on(run: LaunchedRun, role: str) -> None:
    victim = run.pids(role)[0]
    before = run.rollouts()

    os.kill(victim, signal.SIGKILL)

    run.until(lambda: any(event.what == "died" and event.pid == victim for event in run.news(journal.Process)))
    assert run.finish() == 0, run.last_words()
    back = [event for event in run.news(journal.Process) if event.what == "restarted"]
    assert [event.name.split("-")[0] for event in back] == [role]
    assert run.rollouts() > before
    assert_it_got_there(run)


def test_a_replay_service_that_hangs_is_killed_and_started_again(run: LaunchedRun) -> None:
    """Stopped, it lives, keeps its ports and its locks, and answers nobody: all of the run waits for it."""
    victim = run.pids("replay")[0]

    os.kill(victim, signal.SIGSTOP)

    run.until(lambda: any(event.what == "died" and event.pid == victim for event in run.news(journal.Process)))
    assert run.finish() == 0, run.last_words()
    died = next(event for event in run.news(journal.Process) if event.what == "died")
    assert died.detail.startswith("hung")
    assert_it_got_there(run)


@pytest.mark.parametrize("role", ["actor", "redis"])
def test_a_service_whose_work_others_do_is_killed_where_it_hangs_and_started_again(tmp_path: Path, role: str) -> None:
    """The run gets on without it, and a short one would be over before anybody noticed; this one ends when told."""
    run = LaunchedRun(tmp_path / "run", "counting", "actors.episode_s=40", "stages.joint_updates=1000000")
    try:
        run.until(run.is_in_joint_stage)
        victim = run.pids(role)[0]
        os.kill(victim, signal.SIGSTOP)
        run.until(lambda: any(event.what == "restarted" for event in run.news(journal.Process)))
        died = [event for event in run.news(journal.Process) if event.what == "died"]
        assert [(event.name.split("-")[0], event.pid) for event in died] == [(role, victim)]
        assert died[0].detail.startswith("hung")
        run.process.send_signal(signal.SIGINT)
        assert run.finish() == 130, run.last_words()
        assert_books_agree(run.folder)
    finally:
        run.kill()


def test_a_killed_learner_worker_goes_on_from_its_checkpoint(run: LaunchedRun) -> None:
    victim = run.pids("learner")[0]
    os.kill(victim, signal.SIGKILL)
    assert run.finish() == 0, run.last_words()
    assert "going on from checkpoint" in (run.folder / "logs" / "learner.log").read_text()
    told = [(event.what, event.pid) for event in run.news(journal.Process) if event.name.startswith("learner-")]
    assert told[0] == ("died", victim)
    assert told[1][0] == "restarted"
    assert_it_got_there(run)


def test_a_killed_conductor_takes_all_with_it_and_the_resumed_run_gets_there(run: LaunchedRun) -> None:
    below = run.processes()
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()

    resume_to_the_end(run.folder)
    eventually(lambda: all(map(has_ended, below)))
    assert_it_got_there(run)
