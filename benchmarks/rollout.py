"""Rollout actors against the bare loop, and pictures against the simulator's own: what the road to replay costs.

Both sides run the same episodes (same starts, same weights, same noise, nobody takes over) in a process with one
torch thread, turn and turn about. The actor's side is a Ray actor, its spool and a replay server process that fsyncs.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import ray

from ramp.data.normalize import Normalizer
from ramp.envs import make_env
from ramp.models.manifest import policy_manifest, weights, world_manifest
from ramp.models.vla.config import Told
from ramp.models.vla.policy import VLAPolicy
from ramp.models.world.model import WorldModel
from ramp.types import Kind
from services.actor.assignment import Assignment
from services.actor.worker import start_actor
from services.clients.registry import DirectoryRegistry
from services.clients.replay import ReplayClient
from services.common.settings import Settings, child_environment, compose, keep_ray_quiet, save

QUEUE = 2  # assignments at the actor, as the conductor keeps them
Row = dict[str, Any]


@dataclass
class Side:
    """What one side did, over all its turns."""

    episodes: int = 0
    steps: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    turns: list[float] = field(default_factory=list)  # steps per second of each turn

    def add(self, episodes: int, steps: float, seconds: float, cpu_seconds: float) -> None:
        self.episodes += episodes
        self.steps += steps
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds
        self.turns.append(steps / seconds)

    def row(self, name: str) -> Row:
        return {
            "name": name,
            "steps_per_s": round(self.steps / self.seconds, 1),
            "episodes_per_s": round(self.episodes / self.seconds, 3),
            "steps_per_cpu_s": round(self.steps / self.cpu_seconds, 1),
            "episodes": self.episodes,
            "steps": int(self.steps),
        }


def run(quick: bool) -> list[Row]:
    """All rows. Ratios are of this one run; the wall-clock one is the median over pairs of turns."""
    turns, episodes = (3, 2) if quick else (6, 4)
    with tempfile.TemporaryDirectory(prefix="ramp-bench-") as folder:
        settings = prepared(Path(folder))
        with actor(settings, folder) as hands, bare_loop(folder, hands.niceness) as bare:
            return rollouts(settings, bare, hands, turns, episodes) + pictures(bare, 60 if quick else 300)


def rollouts(settings: Settings, bare: Bare, hands: Hands, turns: int, episodes: int) -> list[Row]:
    ours, theirs, parts = Side(), Side(), dict.fromkeys(("sim", "render", "inference", "replay"), 0.0)
    bare.ask(do="episode", seed=0)
    hands.collect(settings.tasks[0], [0])
    for turn in range(turns):
        seeds = list(range(1 + turn * episodes, 1 + (turn + 1) * episodes))
        for side in (0, 1) if turn % 2 else (1, 0):
            if side:
                answers = [bare.ask(do="episode", seed=seed) for seed in seeds]
                theirs.add(episodes, *(sum(a[key] for a in answers) for key in ("steps", "seconds", "cpu_seconds")))
            else:
                ours.add(episodes, *hands.collect(settings.tasks[0], seeds, parts))
    ratios = sorted(a / b for a, b in zip(ours.turns, theirs.turns, strict=True))
    cpu = (ours.steps / ours.cpu_seconds) / (theirs.steps / theirs.cpu_seconds)
    spent = {f"{name}_share": round(seconds / ours.seconds, 3) for name, seconds in parts.items()}
    return [
        theirs.row("rollout: bare loop"),
        ours.row("rollout: Ray actor, gRPC, spool, replay server") | spent,
        {
            "name": "rollout: actor / bare loop",
            "ratio": round(ratios[len(ratios) // 2], 3),
            "ratio_per_cpu_second": round(cpu, 3),
            "lowest": round(ratios[0], 3),
            "highest": round(ratios[-1], 3),
            "starts": f"1 to {turns * episodes}",
            "target": 0.8,
        },
    ]


def pictures(bare: Bare, count: int) -> list[Row]:
    theirs = bare.ask(do="pictures", how="default", count=max(20, count // 10))
    ours = bare.ask(do="pictures", how="ours", count=count)
    rates = [side["frames"] / side["seconds"] for side in (theirs, ours)]
    return [
        {"name": "rendering 64x64: Meta-World as it comes", "frames_per_s": round(rates[0], 1)},
        {"name": "rendering 64x64: ours", "frames_per_s": round(rates[1], 1), "ratio": round(rates[1] / rates[0], 2)},
    ]


class Bare:
    """The bare loop's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **request: Any) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the bare loop ended with code {self._process.wait()}; its messages are above")
        return json.loads(line)


class Hands:
    """The Ray actor, kept busy as the conductor does."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._process = psutil.Process(ray.get(handle.whoami.remote())["pid"])
        self.niceness = int(self._process.nice())

    def collect(self, task: str, seeds: list[int], parts: dict[str, float] | None = None) -> tuple[float, float, float]:
        """(steps, seconds, CPU seconds of the actor's process) for these starts; time of the parts is added up."""
        began, cpu, waiting, steps = time.monotonic(), self._cpu(), [], 0
        for seed in seeds:
            order = Assignment(purpose="rollout", task=task, seed=seed, tables=("online",))
            waiting.append(self._handle.run.remote(order))
        for summary in ray.get(waiting):
            steps += summary.steps
            for name in parts or ():
                parts[name] += getattr(summary, f"{name}_seconds")  # type: ignore[index]  # it is not None here
        return steps, time.monotonic() - began, self._cpu() - cpu

    def _cpu(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system


def prepared(folder: Path) -> Settings:
    """Settings on disk and random weights in the registry. Nobody takes over: both sides do the same steps."""
    settings = compose("metaworld", None, [f"dir={folder}", "takeover.max_takeovers=0", "actors.threads=1"])
    save(settings, folder / "settings.yaml")
    env = make_env(settings.tasks[0], settings.env)
    world = WorldModel(settings.world, env.schema)
    policy = VLAPolicy(settings.policy, env.schema, world.token_shape)
    random = np.random.default_rng(0)
    low, high = np.asarray(env.schema.action_low), np.asarray(env.schema.action_high)
    proprio, action = random.random((100, env.schema.proprio_width)), random.uniform(low, high, (100, len(low)))
    normalizer = Normalizer.fit(proprio, action)
    registry = DirectoryRegistry(folder / "registry")
    world_version = registry.publish(Kind.WORLD, weights(world), world_manifest(world, normalizer))
    manifest = policy_manifest(policy, normalizer, Told()) | {"world_version": world_version}
    registry.alias(Kind.POLICY, "latest", registry.publish(Kind.POLICY, weights(policy), manifest))
    return settings


@contextlib.contextmanager
def bare_loop(folder: str, niceness: int) -> Iterator[Bare]:
    """The bare loop with the priority that Ray gives its workers: on a busy machine anything else would be unfair."""
    command = [sys.executable, "-m", "benchmarks.bare", f"{folder}/settings.yaml"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = child_environment(OMP_NUM_THREADS="1")
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            psutil.Process(process.pid).nice(niceness)
            yield Bare(process)
        finally:
            process.kill()


@contextlib.contextmanager
def actor(settings: Settings, folder: str) -> Iterator[Hands]:
    """A local Ray cluster, a replay server process and one rollout actor."""
    keep_ray_quiet()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        with replay_server(Path(folder)) as address:
            yield Hands(start_actor("actor-0", settings, f"{folder}/settings.yaml", address, ""))
    finally:
        ray.shutdown()


@contextlib.contextmanager
def replay_server(folder: Path) -> Iterator[str]:
    """Address of a replay server on `folder`/replay."""
    home = folder / "replay"
    home.mkdir()
    command = [sys.executable, "-m", "services.replay.main", "--dir", str(home), "--port", "0"]
    command += ["--settings", str(folder / "settings.yaml")]
    process = subprocess.Popen(command, env=child_environment(), stdout=subprocess.DEVNULL)
    try:
        address = home / "address"
        while not address.exists():
            if process.poll() is not None:
                raise RuntimeError(f"the replay server ended with code {process.returncode}")
            time.sleep(0.05)
        with contextlib.closing(ReplayClient(address.read_text().strip(), name="bench")) as client:
            client.wait_ready(30.0)
        yield address.read_text().strip()
    finally:
        process.terminate()
        process.wait(10)
