"""kill -9 of a rollout actor in mid-episode: nothing half is ever seen, nothing is doubled, its successor goes on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import ray

from services.actor.assignment import Assignment
from tests.counting import counting_settings
from tests.loop.fleet import (
    assert_whole,
    hire,
    local_ray,
    publish_random_policy,
    replay_process,
)

pytestmark = pytest.mark.faults
KILLS = 2


def reported_id(reference: ray.ObjectRef) -> str | None:
    """The episode that the actor reported, None where it died first."""
    try:
        return ray.get(reference).episode_id
    except ray.exceptions.RayActorError:
        return None


def test_a_killed_actor_leaves_no_half_episode_and_its_successor_goes_on(tmp_path: Path) -> None:
    settings = counting_settings(tmp_path, "actors.batch_steps=3", "env.max_steps=400", "takeover.hold=100")
    publish_random_policy(settings)
    finished: list[str] = []
    with local_ray(), replay_process(tmp_path) as (server, client):
        for life in range(KILLS):
            actor, pid = hire("actor-0", settings, server.address)
            queue = [
                actor.run.remote(Assignment(purpose="rollout", task=settings.tasks[0], seed=seed, tables=("online",)))
                for seed in range(life * 100, life * 100 + 50)
            ]
            ray.get(queue[life])
            os.kill(pid, signal.SIGKILL)  # it is busy with one of the next of fifty
            reported = list(filter(None, map(reported_id, queue)))
            assert life < len(reported) < len(queue)
            finished += reported
        actor, _ = hire("actor-0", settings, server.address)
        last = ray.get(actor.run.remote(Assignment(purpose="demo", task=settings.tasks[0], seed=7, tables=("demos",))))

        stored = [info.episode_id for info in client.query()]
        assert len(stored) == len(set(stored))
        assert {*finished, last.episode_id} <= set(stored)
        assert len(stored) <= len(finished) + 1 + KILLS  # one may have ended before its actor could say so
        for episode_id in stored:
            assert_whole(client.fetch(episode_id), settings.env.frame_stride)
