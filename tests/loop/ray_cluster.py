"""A Ray cluster as an operator starts it: `ray start` on every node, all of them on this machine, a token for all."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
from ray.util import get_node_ip_address

from services.common.settings import child_environment
from services.conductor.descendants import role_of
from services.conductor.ports import free_port
from tests.unit.sources import ROOT
from tests.waiting import eventually

STORE_BYTES = 80 * 2**20
UP, START_S = "Ray runtime started", 240.0
HEALTH = {"RAY_health_check_period_ms": "1000", "RAY_health_check_failure_threshold": "3"}
"""A killed node is missed within seconds; Ray's own patience is longer than a run of the tests lasts."""


class RayNode:
    """One `ray start --block`, with everything that it starts."""

    def __init__(self, log: Path, environment: dict[str, str], *options: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        command += ["--num-cpus=1", f"--object-store-memory={STORE_BYTES}", "--dashboard-agent-listen-port=0", *options]
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def wait_up(self) -> None:
        eventually(lambda: self._process.poll() is not None or UP in self._log.read_text(), START_S)
        assert self._process.poll() is None, self._log.read_text()

    def processes(self, role: str) -> list[int]:
        """Those of a role of the run that this node has."""
        return [each.pid for each in self._below() if role_of(_words(each)) == role]

    def kill(self) -> None:
        """kill -9 of everything, as when a machine is gone."""
        if self._process.poll() is None:
            below = self._below()
            for process in (psutil.Process(self._process.pid), *below):
                _kill(process)
            self._process.wait()
            psutil.wait_procs(below, timeout=20)

    def _below(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children(recursive=True)


class RayCluster:
    """A head that holds the learner, and nodes for actors, which join once the head is up."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._home = folder, Path(tempfile.mkdtemp(prefix="ray-"))  # a socket's path has to be short
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), **HEALTH}
        port = free_port("127.0.0.1")
        self.address = f"{get_node_ip_address()}:{port}"
        head = [f"--port={port}", f"--temp-dir={self._home}", "--include-dashboard=false"]
        self.nodes: list[RayNode] = []
        self.head = self._start("head", "--head", *head, _resource("learner"))

    def add(self, name: str) -> RayNode:
        """A node for one actor, which has joined when it returns: several that join at once starve each other."""
        node = self._start(name, f"--address={self.address}", _resource("rollout"))
        node.wait_up()
        return node

    def close(self) -> None:
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self, name: str, *options: str) -> RayNode:
        environment = child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}", **self.environment)
        self.nodes.append(RayNode(self._folder / f"{name}.ray", environment, *options))
        return self.nodes[-1]


def _resource(name: str) -> str:
    return f"--resources={json.dumps({name: 1})}"


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.Error:
        return
