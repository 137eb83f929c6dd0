"""A run on what runs already, as in a cluster: Ray nodes with resources and a token, a Redis with a password, two
replay shards with tokens that somebody else has started. It is started by the same words again and again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from services.clients.connect import connect
from services.clients.credentials import own_credentials
from services.common.coordination import board_of
from services.common.directory import Shard
from services.common.keyring import provide
from services.common.settings import compose
from services.common.tokens import Role
from services.conductor import journal, redis_server
from services.conductor.ports import free_ports
from tests.loop.launched import LaunchedRun
from tests.loop.ray_cluster import RayCluster, RayNode
from tests.replay_process import ReplayProcess
from tests.waiting import eventually

pytestmark = [pytest.mark.loop, pytest.mark.timeout(900)]

PASSWORD = "with/sp:cial@signs"
STAGES = {"joint_updates": 240}


class Cluster:
    """Everything but the run itself."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.ray = RayCluster(folder)
        stack.callback(self.ray.close)
        self.ray.head.wait_up()
        self.rollouts = [self.ray.add(f"rollout-{number}") for number in range(2)]
        redis, *ports = free_ports("127.0.0.1", 3)
        self.file = folder / "settings.yaml"
        self.file.write_text(yaml.safe_dump(_settings(folder, redis, ports, self.ray.address)))
        self.environment = {**self.ray.environment, "RAMP_REDIS_PASSWORD": PASSWORD}
        provide(compose("", self.file, [f"dir={folder}"]))
        command = [*redis_server.argv(redis, folder), "--requirepass", PASSWORD]
        stack.callback(subprocess.Popen(command, stdout=subprocess.DEVNULL).kill)
        for number, port in enumerate(ports):
            options = ["--shard", f"shard-{number}", "--port", str(port), "--advertise", f"localhost:{port}"]
            server = ReplayProcess(folder, name=f"replay-{number}", options=options)
            stack.callback(server.close)
            server.start(metrics=True)

    def run(self, folder: Path) -> LaunchedRun:
        return LaunchedRun(folder, "--config", str(self.file), "--keep-going", **self.environment)


def _settings(folder: Path, redis: int, ports: list[int], ray: str) -> dict[str, object]:
    """Only what differs from the recipe, as an operator writes it."""
    shards = [f"shard-{number}=127.0.0.1:{port}" for number, port in enumerate(ports)]
    return {
        "recipe": "counting",
        "stages": STAGES,
        "ray": {"address": ray},
        "redis": {"url": f"redis://127.0.0.1:{redis}/0", "run": "robots-fleet"},
        "replay": {
            "address": ",".join(shards),
            "tokens": str(folder / "tokens.yaml"),
            "secrets": str(folder / "secrets"),
        },
        "actors": {"count": 2, "resource": "rollout"},
        "learner": {"resource": "learner"},
    }


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("RAMP_REDIS_PASSWORD", PASSWORD)
    with ExitStack() as stack:
        yield Cluster(tmp_path, stack)


def test_a_run_on_a_cluster_outlives_a_node_and_its_conductor(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.run(tmp_path / "fleet")
    try:
        first.until(first.is_in_joint_stage)
        assert [len(node.processes("actor")) for node in cluster.rollouts] == [1, 1]
        assert cluster.ray.head.processes("actor") == []
        assert len(cluster.ray.head.processes("learner")) >= 1
        assert not any(node.processes("learner") for node in cluster.rollouts)
        assert {shard.address.partition(":")[0] for shard in _shards(cluster)} == {"localhost"}

        _goes_on_without(first, cluster.rollouts[0])
    finally:
        first.kill()
    second = cluster.run(tmp_path / "fleet")
    try:
        assert second.finish() == 0, second.last_words()
    finally:
        second.kill()
    assert [event.resumed for event in second.events() if isinstance(event, journal.RunStarted)] == [False, True]
    assert second.news(journal.RunFinished)[-1].reason == "done"
    summaries = [each.summary for each in second.events() if isinstance(each, journal.Episode)]
    kept = {each.episode_id for each in summaries if each.purpose != "eval" and each.extra.get("acknowledged", 1)}
    assert kept
    assert kept <= _stored(cluster), "what replay has acknowledged"


def _goes_on_without(run: LaunchedRun, node: RayNode) -> None:
    lost, before = node.processes("actor"), run.rollouts()
    node.kill()
    run.until(lambda: run.rollouts() >= before + 3)
    run.until(lambda: any(event.what == "died" and event.pid in lost for event in run.news(journal.Process)))


def _shards(cluster: Cluster) -> list[Shard]:
    board = board_of(compose("", cluster.file, []))
    try:
        return list(eventually(board.shards).values())  # a busy Redis may need more than one question
    finally:
        board.close()


def _stored(cluster: Cluster) -> set[str]:
    """Episodes of both shards."""
    settings = compose("", cluster.file, [])
    shown = own_credentials(settings, Role.OPERATOR)
    with connect(settings.replay.address, name="watcher", credentials=shown) as replay:
        return {each.episode_id for each in replay.query()}
