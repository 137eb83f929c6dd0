"""Prometheus and Grafana beside a run on one machine, from what the machine has: binaries, else a container engine.

Prometheus finds the processes by the files that the run keeps (targets.py), and loads the chart's rules; Grafana is
given the chart's dashboards. Both listen on this machine only.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

import services
from services.conductor.ports import free_port

HOST = "127.0.0.1"
PROMETHEUS_PORT, GRAFANA_PORT = 9090, 3000  # where they are free
SCRAPE = "5s"
GRAFANA_IMAGE = "docker.io/grafana/grafana:12.2.0"
ROOT = Path(services.__path__[0]).resolve().parent
TOOLS, CHART = ROOT / ".tools" / "bin", ROOT / "helm" / "ramp"
MISSING = {
    "prometheus": "not here: `make tools` installs it",
    "grafana": "not here: no grafana, docker or podman on PATH; its dashboards are in helm/ramp/dashboards",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One program to be started. Example: Part(name="prometheus", argv=(...), env={}, port=9090)"""

    name: str
    argv: Sequence[str]  # the first is a path
    port: int
    env: Mapping[str, str]  # beside the usual ones

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"


def parts(home: Path, targets: Sequence[Path]) -> Iterator[Part]:
    """What of the two this machine can start; they keep everything in `home`. Writes their configuration. Raises
    OSError, Unavailable."""
    found = program("prometheus")
    if found is None:
        return
    prometheus = _prometheus(found, home / "prometheus", targets)
    yield prometheus
    grafana = _grafana(home / "grafana", prometheus.address)
    if grafana is not None:
        yield grafana


def program(*names: str) -> Path | None:
    """The first of them that `make tools` has installed, or that is on PATH."""
    for name in names:
        if found := shutil.which(name, path=str(TOOLS)) or shutil.which(name):
            return Path(found)
    return None


def _prometheus(binary: Path, home: Path, targets: Sequence[Path]) -> Part:
    port, config = free_port(HOST, PROMETHEUS_PORT), home / "prometheus.yml"
    discovery = [{"files": [str(each) for each in targets], "refresh_interval": SCRAPE}]
    content = {
        "global": {"scrape_interval": SCRAPE, "evaluation_interval": SCRAPE},
        "rule_files": [str(CHART / "rules" / "*.yaml")],
        "scrape_configs": [{"job_name": "ramp", "file_sd_configs": discovery}],
    }
    _write(config, yaml.safe_dump(content, sort_keys=False))
    options = (f"--config.file={config}", f"--storage.tsdb.path={home / 'data'}", f"--web.listen-address={HOST}:{port}")
    return Part(name="prometheus", argv=(str(binary), *options), port=port, env={})


def _grafana(home: Path, prometheus: str) -> Part | None:
    """Everybody on this machine may look; nobody has to log in."""
    port, provisioning = free_port(HOST, GRAFANA_PORT), home / "provisioning"
    _provision(provisioning, prometheus)
    env = {
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_PATHS_DATA": str(home / "data"),
        "GF_PATHS_LOGS": str(home / "logs"),
        "GF_SERVER_HTTP_ADDR": HOST,
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    }
    argv = _grafana_binary() or _grafana_container(home, port, env)
    return Part(name="grafana", argv=argv, port=port, env=env) if argv else None


def _grafana_binary() -> tuple[str, ...]:
    """A release's folder holds `bin/grafana`; the packages keep the rest in /usr/share/grafana."""
    found = program("grafana", "grafana-server")
    if found is None:
        return ()
    home = found.resolve().parent.parent
    home = home if (home / "public").is_dir() else Path("/usr/share/grafana")
    return (str(found), *(("server",) if found.name == "grafana" else ()), f"--homepath={home}")


def _grafana_container(home: Path, port: int, env: Mapping[str, str]) -> tuple[str, ...]:
    """On the host's network, as it asks a Prometheus that listens on this machine only."""
    engine = program("docker", "podman")
    if engine is None:
        return ()
    options = ["--rm", f"--name=ramp-grafana-{port}", "--network=host", f"--user={os.getuid()}"]
    options += [f"--volume={path}:{path}" for path in (home, CHART / "dashboards")]
    options += [f"--env={name}={value}" for name, value in env.items()]
    return (str(engine), "run", *options, GRAFANA_IMAGE)


def _provision(folder: Path, prometheus: str) -> None:
    source = {"name": "Prometheus", "uid": "prometheus", "type": "prometheus", "url": prometheus, "isDefault": True}
    board = {"name": "ramp", "folder": "RAMP", "type": "file", "options": {"path": str(CHART / "dashboards")}}
    _write(folder / "datasources" / "ramp.yaml", yaml.safe_dump({"apiVersion": 1, "datasources": [source]}))
    _write(folder / "dashboards" / "ramp.yaml", yaml.safe_dump({"apiVersion": 1, "providers": [board]}))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
