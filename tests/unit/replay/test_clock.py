"""Time that nobody can set."""

from __future__ import annotations

import time

import pytest

from ramp.replay.clock import MAX_PAUSE_S, SteadyClock


@pytest.mark.parametrize("jump", [-1e9, -3600.0, 3600.0, 1e9])
def test_a_jump_of_the_wall_clock_is_not_seen(monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    clock, real = SteadyClock(), time.time
    before = clock.now()
    monkeypatch.setattr(time, "time", lambda: real() + jump)

    assert 0 <= clock.now() - before < 60


@pytest.mark.parametrize("ahead", [-3600.0, MAX_PAUSE_S + 3600.0])
def test_a_wall_clock_that_cannot_be_right_at_the_start_is_not_believed(ahead: float) -> None:
    newest = time.time() - ahead

    assert 0 <= SteadyClock(newest).now() - newest < 60


def test_a_wall_clock_a_while_after_the_last_time_is_believed() -> None:
    now = time.time()

    assert abs(SteadyClock(now - 86_400).now() - now) < 60
