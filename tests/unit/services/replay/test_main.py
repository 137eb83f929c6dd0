"""What the settings say reaches the server."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from services.common.settings import child_environment, compose
from services.replay.main import served_calls, shard_config
from tests.replay_process import ReplayProcess
from tests.unit.sources import ROOT


def test_the_settings_tasks_are_those_that_the_shard_knows() -> None:
    settings = compose("counting", None, [])
    assert shard_config(settings).tasks == settings.tasks == ("count-up", "count-down")


def test_every_actor_of_a_large_run_finds_a_free_call() -> None:
    settings = compose("metaworld", None, ["actors.count=1000", "learner.workers=8"])
    assert served_calls(settings) > 1000 + 2 * 8


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


def test_a_server_and_its_clients_start_without_torch() -> None:
    """It takes most of a second, which everybody waits for after a crash."""
    code = "import sys, services.replay.main, services.clients.replay; sys.exit('torch' in sys.modules)"
    environment = child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}")

    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=120).returncode == 0
