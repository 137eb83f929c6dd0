"""The policy server beside the bare model: requests a second and how long one takes, alone and with eight clients.

The yardstick is the same modules with tensors that lie ready, in this process: no wire, no queue, nothing checked or
normalised; of as many observations at once as there are clients. Server and yardstick take turns on the same cores.
Weights are random, which changes nothing of the time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.policy import sample_agent, sample_observation
from ramp.data.transforms import observation_tensors
from ramp.models.agent import Agent
from ramp.models.manifest import policy_manifest, weights, world_manifest
from ramp.recipes import RECIPES
from ramp.types import Kind
from services.clients.policy import PolicyClient
from services.clients.registry import DirectoryRegistry
from services.common.place import EFFICIENT, MODES
from services.common.settings import DEFAULT_RECIPE, child_environment, compose, save

Row = dict[str, Any]

CLIENTS = (1, 8)
ROUNDS = 5
READY_S = 120.0
PATIENCE_S = 60.0  # of one request


def run(quick: bool) -> list[Row]:
    """A row per mode and number of clients."""
    requests, threads = (4 if quick else 40), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [row for mode in MODES for row in _rows(mode, requests)]
    finally:
        torch.set_num_threads(threads)


def _rows(mode: str, requests: int) -> Iterator[Row]:
    agent = sample_agent(RECIPES[DEFAULT_RECIPE](), 1.0, efficient=mode == EFFICIENT)
    with tempfile.TemporaryDirectory(prefix="ramp-serving-") as folder, _server(Path(folder), agent, mode) as address:
        for clients in CLIENTS:
            yield _compare(agent, address, mode, clients, requests)


def _compare(agent: Agent, address: str, mode: str, clients: int, requests: int) -> Row:
    print(f"serving: {ROUNDS} turns of {requests} requests by {clients} clients, {mode} ...", flush=True)
    bare, took, ours, theirs = _bare(agent, clients), list[float](), list[float](), list[float]()
    with ThreadPoolExecutor(clients) as threads, PolicyClient(address) as client:
        for turn in range(ROUNDS + 1):
            rate, seconds = _served(client, threads, clients, requests)
            alone = _rate(bare, requests) * clients
            if turn:  # the first one warms up
                ours.append(rate)
                theirs.append(alone)
                took += seconds
    return {
        "name": f"serving: requests/s of the server / of the bare model, {mode}, {clients} at once",
        "value": round(statistics.median(ours), 1),
        "baseline": round(statistics.median(theirs), 1),
        "unit": "requests/s",
        "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3),
        "p50_ms": round(1e3 * float(np.quantile(took, 0.5)), 2),
        "p99_ms": round(1e3 * float(np.quantile(took, 0.99)), 2),
        "bare_ms": round(1e3 * clients / statistics.median(theirs), 2),
        "requests": len(took),
    }


def _served(
    client: PolicyClient, threads: ThreadPoolExecutor, clients: int, requests: int
) -> tuple[float, list[float]]:
    """Requests a second, and the seconds of each, of clients that ask again as soon as they have an answer."""
    seen = sample_observation(RECIPES[DEFAULT_RECIPE]())

    def robot(number: int) -> list[float]:
        seconds = []
        for _ in range(requests):
            began = time.perf_counter()
            client.infer(seen, session=f"arm-{number}", timeout=PATIENCE_S)
            seconds.append(time.perf_counter() - began)
        return seconds

    began = time.perf_counter()
    took = [each for seconds in threads.map(robot, range(clients)) for each in seconds]
    return len(took) / (time.perf_counter() - began), took


def _rate(call: Callable[[], object], count: int) -> float:
    """Calls a second."""
    began = time.perf_counter()
    for _ in range(count):
        call()
    return count / (time.perf_counter() - began)


def _bare(agent: Agent, size: int) -> Callable[[], object]:
    """One run of the modules for `size` observations."""
    seen = sample_observation(RECIPES[DEFAULT_RECIPE]())
    tensors = observation_tensors([seen] * size, agent.normalizer)
    generator, indicator = torch.Generator().manual_seed(0), torch.ones(size, dtype=torch.int64)

    @torch.inference_mode()
    def decide() -> object:
        world = None if agent.efficient else agent.world
        tokens = None if world is None else world.predict(tensors, generator=generator).tokens
        return agent.policy.act(tensors, tokens, indicator, generator=generator)

    return decide


@contextmanager
def _server(folder: Path, agent: Agent, mode: str) -> Iterator[str]:
    """The address of a real server process that serves `agent`."""
    settings = compose(DEFAULT_RECIPE, None, [f"dir={folder}", f"serving.mode={mode}"])
    save(settings, folder / "settings.yaml")
    _publish(DirectoryRegistry(folder / "registry"), agent)
    command = [sys.executable, "-m", "services.policy.main", "--settings", str(folder / "settings.yaml"), "--port", "0"]
    environment = child_environment(OMP_NUM_THREADS="1")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            with PolicyClient(address) as client:
                client.wait_ready(READY_S)
            yield address
        finally:
            process.terminate()


def _publish(registry: DirectoryRegistry, agent: Agent) -> None:
    assert agent.world is not None
    world = registry.publish(Kind.WORLD, weights(agent.world), world_manifest(agent.world, agent.normalizer))
    manifest = policy_manifest(agent.policy, agent.normalizer, agent.told) | {"world_version": world}
    registry.alias(Kind.POLICY, "latest", registry.publish(Kind.POLICY, weights(agent.policy), manifest))
