"""kill -9 of one of two learner workers in the joint stage: Ray Train starts both again, they go on, nothing is
published twice. The only worker of a group: test_run_kills.py."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from ramp.types import Kind
from tests.counting import counting_settings
from tests.loop.fleet import local_ray
from tests.loop.learning import classroom
from tests.loop.test_learner import assert_taught
from tests.waiting import eventually

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]
VICTIM = "learner-1"
PATIENCE_S = 240.0  # longer than a group may take to come up


def test_a_killed_worker_of_two_resumes_with_the_other_and_publishes_nothing_twice(tmp_path: Path) -> None:
    rhythm = ("stages.joint_updates=200", "training.publish_every=40", "training.relabel_every=80")
    place = ("learner.checkpoint_every=30", "learner.threads=1", "learner.workers=2")
    settings = counting_settings(tmp_path, *rhythm, *place)
    with local_ray(), classroom(settings) as room, room.learning():
        eventually(lambda: (room.registry.resolve(Kind.POLICY, "latest") or 0) >= 2, PATIENCE_S)
        before = eventually(lambda: room.workers().get(VICTIM))
        os.kill(int(before["pid"]), signal.SIGKILL)

        eventually(lambda: room.workers().get(VICTIM, before)["pid"] != before["pid"], PATIENCE_S)
        eventually(lambda: room.registry.resolve(Kind.POLICY, "final"), PATIENCE_S)
    assert_taught(room)
