"""A Ray actor, its spool and a replay server process: episodes arrive whole."""

from __future__ import annotations

import contextlib
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray

from ramp.types import EpisodeSummary, Source
from services.actor.assignment import Assignment
from services.clients.replay import ReplayClient
from services.common.coordination import Coordination, run_key
from services.common.settings import Settings
from tests.counting import counting_settings
from tests.loop.fleet import assert_whole, hire, local_ray, publish_random_policy, replay_process
from tests.unit.services.common.redis_process import RedisProcess

pytestmark = [pytest.mark.loop, pytest.mark.xdist_group("actor")]


@dataclass
class Fleet:
    board: Coordination
    pid: int
    settings: Settings
    client: ReplayClient
    actor: Any

    def run(self, *assignments: Assignment) -> list[EpisodeSummary]:
        return ray.get([self.actor.run.remote(each) for each in assignments])


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    settings = counting_settings(tmp_path_factory.mktemp("run"), "actors.batch_steps=5", "takeover.hold=8")
    folder = Path(settings.dir)
    with contextlib.ExitStack() as stack:
        redis = RedisProcess(folder)
        stack.callback(redis.kill)
        stack.enter_context(local_ray())
        server, client = stack.enter_context(replay_process(folder))
        board = stack.enter_context(contextlib.closing(Coordination(redis.url, run_key(folder))))
        actor, pid = hire("actor-0", settings, server.address, redis.url)
        yield Fleet(board, pid, settings, client, actor)


def test_demonstrations_and_rollouts_arrive_whole_and_evaluations_are_not_stored(fleet: Fleet) -> None:
    publish_random_policy(fleet.settings)
    tasks, eval_seed = fleet.settings.tasks, fleet.settings.evaluation.first_seed
    demos = [Assignment(purpose="demo", task=task, seed=seed, tables=("demos",)) for task in tasks for seed in (1, 2)]
    rollouts = [Assignment(purpose="rollout", task=task, seed=9, tables=("online",)) for task in tasks]
    evals = [Assignment(purpose="eval", task=tasks[0], seed=eval_seed, policy_version=1) for _ in range(2)]

    summaries = fleet.run(*demos, *rollouts, *evals)

    stored = {info.episode_id: info for info in fleet.client.query()}
    assert set(stored) == {summary.episode_id for summary in summaries if summary.purpose != "eval"}
    for summary in summaries[: len(stored)]:
        info, episode = stored[summary.episode_id], fleet.client.fetch(summary.episode_id)
        assert_whole(episode, fleet.settings.env.frame_stride)
        assert (info.task, info.seed) == (summary.task, summary.seed)
        assert len(episode.steps) == summary.steps == info.steps
        assert (episode.steps.source == Source.HUMAN).sum() == summary.human_steps == info.human_steps
        assert set(episode.steps.policy_version.tolist()) == {summary.policy_version}
        assert episode.outcome == summary.outcome
    first, second = summaries[-2:]
    assert (first.outcome, first.steps, first.values) == (second.outcome, second.steps, second.values)


def test_the_actor_is_on_the_notice_board_with_its_metrics(fleet: Fleet) -> None:
    fleet.run(Assignment(purpose="demo", task=fleet.settings.tasks[0], seed=3, tables=("demos",)))

    (presence,) = fleet.board.presence() or ()
    with urllib.request.urlopen(f"http://127.0.0.1:{presence.fields['metrics_port']}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert (presence.role, presence.name, presence.fields["pid"]) == ("actor", "actor-0", str(fleet.pid))
    assert int(presence.fields["episodes"]) > 0
    assert 'ramp_actor_episodes_total{outcome="success",purpose="demo",task="' in text
    assert 'ramp_actor_work_seconds_total{what="render"}' in text
    assert "ramp_process_progress_seconds{" not in text, "an idle actor has no clock to stand still"


def test_an_error_names_what_is_wrong_and_the_actor_lives_on(fleet: Fleet) -> None:
    good = Assignment(purpose="demo", task=fleet.settings.tasks[0], seed=5, tables=("demos",))
    unknown = Assignment(purpose="demo", task="count-sideways", seed=1, tables=("demos",))

    with pytest.raises(ray.exceptions.RayTaskError, match="count-sideways"):
        fleet.run(unknown)

    assert fleet.run(good)[0].steps > 0


def test_new_weights_act_from_the_next_episode_on(fleet: Fleet) -> None:
    rollout = Assignment(purpose="rollout", task=fleet.settings.tasks[0], seed=11, tables=("online",))
    versions = []
    for _ in range(2):
        published = publish_random_policy(fleet.settings)
        versions.append((published, fleet.run(rollout)[0].policy_version))

    assert versions[0][0] == versions[0][1]
    assert versions[1][0] == versions[1][1]
    assert versions[0] != versions[1]
