"""What is started beside a run, from what the machine has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from services.conductor import monitoring


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(monitoring, "TOOLS", folder)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    return folder


def install(tools: Path, *names: str) -> None:
    for name in names:
        (tools / name).touch(mode=0o755)


def found(home: Path) -> dict[str, monitoring.Part]:
    return {part.name: part for part in monitoring.parts(home, [home / "run.json", home / "policy.json"])}


def test_a_machine_without_prometheus_gets_neither(tools: Path, tmp_path: Path) -> None:
    install(tools, "grafana", "docker")
    assert found(tmp_path / "home") == {}


def test_prometheus_reads_the_runs_targets_and_the_charts_rules(tools: Path, tmp_path: Path) -> None:
    install(tools, "prometheus")
    home = tmp_path / "home"
    parts = found(home)
    assert list(parts) == ["prometheus"]
    config = yaml.safe_load((home / "prometheus" / "prometheus.yml").read_text())
    assert config["scrape_configs"][0]["file_sd_configs"][0]["files"] == [
        str(home / "run.json"),
        str(home / "policy.json"),
    ]
    assert config["rule_files"][0].endswith("helm/ramp/rules/*.yaml")
    assert f"--web.listen-address=127.0.0.1:{parts['prometheus'].port}" in parts["prometheus"].argv


def test_grafana_is_given_prometheus_and_the_charts_dashboards(tools: Path, tmp_path: Path) -> None:
    install(tools, "prometheus", "grafana")
    parts = found(tmp_path / "home")
    assert parts["grafana"].argv[:2] == (str(tools / "grafana"), "server")
    provisioning = Path(parts["grafana"].env["GF_PATHS_PROVISIONING"])
    source = yaml.safe_load((provisioning / "datasources" / "ramp.yaml").read_text())["datasources"][0]
    assert source["url"] == parts["prometheus"].address
    board = yaml.safe_load((provisioning / "dashboards" / "ramp.yaml").read_text())["providers"][0]
    assert board["options"]["path"].endswith("helm/ramp/dashboards")


def test_a_container_of_grafana_sees_the_same_folders_and_the_same_network(tools: Path, tmp_path: Path) -> None:
    install(tools, "prometheus", "podman")
    part = found(tmp_path / "home")["grafana"]
    home = tmp_path / "home" / "grafana"
    assert part.argv[:2] == (str(tools / "podman"), "run")
    assert {"--rm", "--network=host", f"--user={os.getuid()}", f"--volume={home}:{home}"} <= set(part.argv)
    assert f"--env=GF_SERVER_HTTP_PORT={part.port}" in part.argv
    assert part.argv[-1] == monitoring.GRAFANA_IMAGE
