"""kill -9 of a learner worker in the joint stage: Ray Train starts it again, it goes on, nothing is published twice."""

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
PATIENCE_S = 240.0  # longer than a group may take to come up


@pytest.mark.parametrize(("workers", "victim"), [(1, "learner-0"), (2, "learner-1")])
def test_a_killed_learner_worker_resumes_and_publishes_nothing_twice(tmp_path: Path, workers: int, victim: str) -> None:
    rhythm = ("stages.joint_updates=200", "training.publish_every=40", "training.relabel_every=80")
    place = ("learner.checkpoint_every=30", "learner.threads=1", f"learner.workers={workers}")
    settings = counting_settings(tmp_path, *rhythm, *place)
    with local_ray(), classroom(settings) as room, room.learning():
        eventually(lambda: (room.registry.resolve(Kind.POLICY, "latest") or 0) >= 2, PATIENCE_S)
        before = eventually(lambda: room.workers().get(victim))
        os.kill(int(before["pid"]), signal.SIGKILL)

        eventually(lambda: room.workers().get(victim, before)["pid"] != before["pid"], PATIENCE_S)
        eventually(lambda: room.registry.resolve(Kind.POLICY, "final"), PATIENCE_S)
    assert_taught(room)
