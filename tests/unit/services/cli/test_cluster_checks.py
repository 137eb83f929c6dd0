"""What is wrong with a cluster is found, and said with its remedy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ramp.replay.shard import Shard, ShardConfig
from services.cli import cluster_checks, kubernetes_checks
from services.cli.checks import Finding
from services.cli.main import main
from services.clients.credentials import Credentials
from services.common.settings import Settings, compose, save
from services.conductor.rundir import RunDir
from services.replay.core import ReplayCore
from services.replay.server import ReplayServer
from tests.certificates import Authority


@pytest.fixture
def run(tmp_path: Path) -> Iterator[tuple[RunDir, Settings]]:
    """A run whose server answers."""
    with ExitStack() as stack:
        shard = Shard(tmp_path / "replay", ShardConfig())
        stack.callback(shard.close)
        server = ReplayServer(ReplayCore(shard))
        port = server.start("127.0.0.1", 0)
        stack.callback(server.stop, 0.1)
        settings = compose("counting", None, [f"dir={tmp_path}", f"replay.address=127.0.0.1:{port}"])
        save(settings, tmp_path / "settings.yaml")
        yield RunDir(tmp_path), settings


def by_name(findings: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_a_shard_is_asked_at_its_doors(run: tuple[RunDir, Settings]) -> None:
    found = by_name(cluster_checks.replay(*run))

    assert set(found) == {f"shard-0{each}" for each in ("", " clock", " disk", " code", " gRPC", " Flight")}
    assert all(finding.ok for finding in found.values()), found
    assert "without TLS" in found["shard-0 gRPC"].detail


def test_one_that_is_away_is_named_with_a_remedy(tmp_path: Path) -> None:
    settings = compose("counting", None, [f"dir={tmp_path}", "replay.address=shard-3=127.0.0.1:1"])
    [finding] = cluster_checks.replay(RunDir(tmp_path), settings)

    assert (finding.name, finding.ok, finding.needed) == ("shard-3", False, True)
    assert finding.remedy


@pytest.mark.parametrize(("days", "ok"), [(30, True), (3, False)])
def test_a_certificate_that_ends_soon_is_found(tmp_path: Path, days: int, ok: bool) -> None:
    ours = Authority(tmp_path / "ours", "ours")
    with ExitStack() as stack:
        shard = Shard(tmp_path / "replay", ShardConfig())
        stack.callback(shard.close)
        server = ReplayServer(ReplayCore(shard))
        port = server.start("127.0.0.1", 0, ours.issue("replay", days=days))
        stack.callback(server.stop, 0.1)
        finding = cluster_checks.door("shard-0 gRPC", f"127.0.0.1:{port}", Credentials(ca=ours.path))

    assert finding.ok is ok
    assert f"{days} days" in finding.detail


def test_a_disk_that_fills_is_found() -> None:
    assert cluster_checks.room("disk", held=2**40, free=2**38).ok
    assert not cluster_checks.room("disk", held=2**40, free=2**36).ok
    assert not cluster_checks.room("disk", held=0, free=2**29).ok


@pytest.mark.parametrize(
    ("there", "ok"),
    [({"CPU": 4.0}, True), ({"CPU": 1.0}, False), ({"CPU": 9.0, "GPU": 1.0}, False), ({"CPU": 9.0, "GPU": 2.0}, True)],
)
def test_ray_has_what_the_settings_ask_for(there: dict[str, float], ok: bool) -> None:
    settings = compose("counting", None, ["learner.workers=2"])
    assert cluster_checks.resources(there, settings).ok is ok


def test_a_registry_that_cannot_be_written_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert cluster_checks.writable("registry", tmp_path / "registry").ok
    assert list((tmp_path / "registry").iterdir()) == []
    assert not cluster_checks.writable("registry", tmp_path / "file" / "below").ok


def test_silent_metrics_are_named(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.targets.write_text(json.dumps([{"targets": ["127.0.0.1:1"], "labels": {}}]))
    [finding] = cluster_checks.metrics(run)

    assert not finding.ok
    assert "127.0.0.1:1" in finding.detail


def pod(name: str, ready: str, waiting: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    status = {"phase": "Pending" if waiting else "Running", "conditions": [{"type": "Ready", "status": ready}]}
    return {"metadata": {"name": name}, "status": status | {"containerStatuses": [{"state": state}]}}


def test_a_pod_that_is_not_ready_is_named_with_its_reason() -> None:
    well, ill = pod("replay-0", "True"), pod("replay-1", "False", "CrashLoopBackOff")
    assert kubernetes_checks.pods({"items": [well]}).ok
    finding = kubernetes_checks.pods({"items": [well, ill]})
    assert not finding.ok
    assert "replay-1 CrashLoopBackOff" in finding.detail
    assert not kubernetes_checks.pods({"items": []}).ok


def test_a_volume_and_a_definition_that_are_missing_are_named() -> None:
    lost = {"metadata": {"name": "data-replay-1"}, "status": {"phase": "Pending"}}
    assert "data-replay-1" in kubernetes_checks.claims({"items": [lost]}).detail
    assert not kubernetes_checks.claims({"items": [lost]}).ok
    names = [{"metadata": {"name": name}} for name in kubernetes_checks.CRDS]
    assert kubernetes_checks.definitions({"items": names}).ok
    assert kubernetes_checks.CRDS[1] in kubernetes_checks.definitions(names[0]).detail


def test_the_command_tells_all_of_it(run: tuple[RunDir, Settings], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--cluster", "--json", "--dir", str(run[0].path)])
    told = json.loads(capsys.readouterr().out)

    assert ended.value.code == 0, told
    assert {"Redis", "shard-0", "Ray", "registry", "metrics"} <= {each["name"] for each in told["checks"]}
