"""The learner group is started again when it fails, and given up when it fails again and again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from ramp.errors import RampError, Unavailable
from services.conductor.journal import Process
from services.conductor.training import BUDGET, LearnerGroup
from services.learner.divergence import DivergedError


def finished(group: LearnerGroup) -> list[Process]:
    """What `poll` says once the present thread has ended."""
    assert group._thread is not None
    group._thread.join(10)
    return list(group.poll())


def failing(times: int) -> Callable[[], None]:
    left = [None] * times

    def body() -> None:
        if left:
            left.pop()
            raise RampError("no workers\nsecond line")

    return body


def test_a_learner_that_is_done_stops_once() -> None:
    group = LearnerGroup(lambda: None)
    assert group.state == "stopped"
    assert group.start().what == "started"
    assert [event.what for event in finished(group)] == ["stopped"]
    assert list(group.poll()) == []
    assert group.returned


def test_a_learner_that_fails_is_started_again() -> None:
    group = LearnerGroup(failing(1))
    group.start()
    events = finished(group)
    assert [event.what for event in events] == ["died", "restarted"]
    assert events[0].detail == "RampError: second line"
    assert [event.what for event in finished(group)] == ["stopped"]
    assert group.restarts == 1


def test_a_learner_that_always_fails_ends_the_run() -> None:
    group = LearnerGroup(failing(100))
    group.start()
    for _ in range(BUDGET):
        finished(group)
    with pytest.raises(Unavailable, match="the learner failed 4 times"):
        finished(group)


def test_a_training_that_no_other_try_would_help_ends_the_run_at_once() -> None:
    def body() -> None:
        raise DivergedError("6 times; lower the learning rate")

    group = LearnerGroup(body)
    group.start()
    with pytest.raises(DivergedError, match="lower the learning rate"):
        finished(group)
    assert group.restarts == 0


def test_a_learner_whose_thread_is_told_to_exit_has_failed() -> None:
    def body() -> None:
        raise SystemExit(1)

    group = LearnerGroup(body)
    group.start()
    assert [event.what for event in finished(group)] == ["died", "restarted"]


def test_the_conductor_waits_for_it_only_so_long() -> None:
    released = threading.Event()
    group = LearnerGroup(lambda: released.wait(30) and None)
    group.start()
    assert not group.join(0.05)
    assert group.state == "stopped"
    released.set()
    assert group.join(10)
