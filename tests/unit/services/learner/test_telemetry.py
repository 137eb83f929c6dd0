"""Where the learner's time goes: every second under one name."""

from __future__ import annotations

import time

import pytest

from services.common.coordination import Coordination
from services.learner.telemetry import Telemetry
from tests.told import told

NAME = "ramp_learner_work_seconds_total"


def test_what_is_counted_inside_is_not_counted_outside_again(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    says, before = Telemetry(Coordination("", "test"), 0), [told(NAME, what=what) or 0.0 for what in ("update", "sync")]
    with says.spent("update"):
        clock[0] += 5
        for _ in range(2):
            with says.spent("sync"):
                clock[0] += 3
        clock[0] += 1
    after = [told(NAME, what=what) or 0.0 for what in ("update", "sync")]
    assert [now - then for now, then in zip(after, before, strict=True)] == [6.0, 6.0]
