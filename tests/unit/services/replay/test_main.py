"""What the settings say reaches the server."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ramp.errors import OverQuota
from services.clients.replay import ReplayClient
from services.common.coordination import Coordination, run_key
from services.common.directory import Shard
from services.common.gate import gate_of
from services.common.keyring import provide, tokens_file
from services.common.settings import child_environment, compose, save
from services.common.tokens import Role
from services.conductor.ports import free_port
from services.replay.main import main, served_calls, shard_config
from tests.replay_process import ReplayProcess
from tests.tokens import know
from tests.unit.services.common.redis_process import RedisProcess
from tests.unit.sources import ROOT


def test_the_settings_tasks_are_those_that_the_shard_knows() -> None:
    settings = compose("counting", None, [])
    assert shard_config(settings).tasks == settings.tasks == ("count-up", "count-down")


def test_every_actor_of_a_large_run_finds_a_free_call() -> None:
    settings = compose("metaworld", None, ["actors.count=1000", "learner.workers=8"])
    assert served_calls(settings) > 1000 + 2 * 8


def test_a_server_without_tokens_does_not_open_to_other_machines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(compose("counting", None, [f"dir={tmp_path}"]), tmp_path / "settings.yaml")
    words = ["--dir", str(tmp_path / "replay"), "--settings", str(tmp_path / "settings.yaml"), "--host", "0.0.0.0"]
    assert main(words) == 1
    assert "without TLS and tokens" in caplog.text
    assert "replay.exposed=true" in caplog.text


def test_a_run_s_gate_knows_its_tokens_and_quotas(tmp_path: Path) -> None:
    settings = compose("counting", None, [f"dir={tmp_path}", "replay.quotas.clients=arm-7:0:1:0"])
    assert not gate_of(settings).access.asks
    provide(settings)
    know(tokens_file(settings), "s-arm", Role.ROBOT, "arm-7")
    gate = gate_of(settings)
    with gate.enter("s-arm", "/ramp.v1.Replay/Append") as client:
        gate.quotas.opening(client, "e0")
        with pytest.raises(OverQuota):
            gate.quotas.opening(client, "e1")


def test_metrics_are_served_where_the_settings_say(tmp_path: Path) -> None:
    """127.0.0.2 is this machine too, and not where a server listens that was told nothing."""
    server = ReplayProcess(tmp_path, "metrics.host=127.0.0.2")
    try:
        server.start(metrics=True)
        found = re.search(r"metrics at (http://127.0.0.2:\d+/metrics)", (tmp_path / "log").read_text())
        assert found
        with urllib.request.urlopen(found[1]) as answer:
            assert b"ramp_replay" in answer.read()
        assert server.stop() == 0
    finally:
        server.close()


def test_a_server_whose_name_is_another_shards_does_not_serve(tmp_path: Path) -> None:
    redis = RedisProcess(tmp_path)
    board = Coordination(redis.url, run_key(tmp_path))
    try:
        assert board.announce_shard(Shard("shard-0", "127.0.0.1:1", "other data"))
        server = ReplayProcess(tmp_path, options=["--redis", redis.url])
        with closing(server), pytest.raises(AssertionError, match=r"served at 127\.0\.0\.1:1 from other data"):
            server.start()
    finally:
        board.close()
        redis.kill()


def test_a_server_and_its_clients_start_without_torch() -> None:
    """It takes most of a second, which everybody waits for after a crash."""
    names = ("replay", "robot", "policy", "recording")
    clients = ", ".join(f"services.clients.{name}" for name in names)
    code = f"import sys, services.replay.main, {clients}; sys.exit('torch' in sys.modules)"
    environment = child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}")

    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=120).returncode == 0


def test_a_server_that_is_told_to_stop_says_so_before_it_goes(tmp_path: Path) -> None:
    server = ReplayProcess(tmp_path)
    with closing(server), grpc.insecure_channel(server.start()) as channel:
        health = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), timeout=60)
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        os.kill(server.pid, signal.SIGTERM)
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert server.wait() == 0


def test_a_shard_is_found_by_what_it_advertises(tmp_path: Path) -> None:
    """127.0.0.1 and localhost are the same place here, and not the same words."""
    redis = RedisProcess(tmp_path)
    port = free_port("127.0.0.1")
    options = ["--shard", "shard-3", "--port", str(port), "--advertise", f"localhost:{port}", "--redis", redis.url]
    server = ReplayProcess(tmp_path, options=options)
    board = Coordination(redis.url, run_key(tmp_path))
    try:
        with ReplayClient(server.start(metrics=True), name="test") as client:
            assert client.bulk().flight_host == "localhost"
        assert {shard.name: shard.address for shard in (board.shards() or {}).values()} == {
            "shard-3": f"localhost:{port}"
        }
        assert [(each.role, each.name) for each in board.presence() or ()] == [("replay", "shard-3")]
    finally:
        server.close()
        board.close()
        redis.kill()
