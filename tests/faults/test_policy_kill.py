"""kill -9 of the policy server under its clients, a bad version in the registry, and an orderly end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ramp.types import Kind
from services.clients.policy import PolicyClient
from services.clients.registry import WEIGHTS, DirectoryRegistry
from tests.policies import observation, publish
from tests.policy_process import PolicyProcess
from tests.waiting import eventually

pytestmark = pytest.mark.faults

SEEN = observation()
PATIENCE_S = 60.0


def act(address: str, name: str, enough: threading.Event) -> int:
    """Ask until it is enough, and once more; every request is answered. How many there were."""
    with PolicyClient(address) as client:
        count = 0
        while not enough.is_set():
            client.infer(SEEN, session=name, start=not count, timeout=PATIENCE_S)
            count += 1
        client.infer(SEEN, session=name, timeout=PATIENCE_S)
        return count + 1


def test_clients_outlive_their_server_and_a_bad_version_is_never_served(tmp_path: Path) -> None:
    registry, enough = DirectoryRegistry(tmp_path / "registry"), threading.Event()
    good = publish(registry)
    server = PolicyProcess(tmp_path, "serving.look_s=0.1")
    try:
        address = server.start()
        with ThreadPoolExecutor(2) as robots, PolicyClient(address) as client:
            asked = [robots.submit(act, address, f"arm-{number}", enough) for number in range(2)]
            client.infer(SEEN, session="other", timeout=PATIENCE_S)
            server.kill()
            bad = publish(registry, alias="")
            (registry.root / "policy" / f"{bad:08d}" / WEIGHTS).write_bytes(b"rust")
            registry.alias(Kind.POLICY, "latest", bad)
            server.start()
            assert client.infer(SEEN, session="other", timeout=PATIENCE_S).version == good
            better = publish(registry)
            eventually(lambda: client.served(PATIENCE_S).version == better)
            assert client.infer(SEEN, session="other", start=True, timeout=PATIENCE_S).version == better
            enough.set()
            assert all(robot.result(PATIENCE_S) >= 1 for robot in asked)
        assert server.stop() == 0
    finally:
        server.close()
