"""A small fleet for tests: a real replay server process, a local Ray cluster, actors on the counting world."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ray

from ramp.data.normalize import Normalizer
from ramp.envs import make_env
from ramp.envs.counting import read_seed, read_step
from ramp.models.build import new_policy, new_world
from ramp.models.manifest import policy_manifest, weights, world_manifest
from ramp.models.vla.config import Told
from ramp.types import Episode, Kind
from services.actor.worker import start_actor
from services.clients.credentials import own_credentials
from services.clients.registry import DirectoryRegistry
from services.clients.replay import ReplayClient
from services.common.settings import Settings, load_settings
from services.common.tokens import Role
from tests.replay_process import ReplayProcess
from tests.unit.sources import ROOT


def publish_random_policy(settings: Settings) -> int:
    """Random weights of both models in the run's registry, as `latest`."""
    env = make_env(settings.tasks[0], settings.env)
    world = new_world(settings.world, env.schema)
    policy = new_policy(settings.policy, env.schema, world.token_shape)
    random = np.random.default_rng(0)
    shape = (100, env.schema.proprio_width), (100, env.schema.action_width)
    normalizer = Normalizer.fit(random.random(shape[0]), random.uniform(-1, 1, shape[1]))
    registry = DirectoryRegistry(Path(settings.dir) / "registry")
    world_version = registry.publish(Kind.WORLD, weights(world), world_manifest(world, normalizer))
    manifest = policy_manifest(policy, normalizer, Told()) | {"world_version": world_version}
    version = registry.publish(Kind.POLICY, weights(policy), manifest)
    registry.alias(Kind.POLICY, "latest", version)
    return version


@contextlib.contextmanager
def replay_process(folder: Path) -> Iterator[tuple[ReplayProcess, ReplayClient]]:
    """The server and a client that watches it."""
    server = ReplayProcess(folder)
    try:
        address = server.start()
        shown = own_credentials(load_settings(folder / "settings.yaml"), Role.OPERATOR)
        with ReplayClient(address, name="watcher", credentials=shown) as client:
            yield server, client
    finally:
        server.close()


@contextlib.contextmanager
def local_ray() -> Iterator[None]:
    """Enter it before any gRPC client is made: Ray forks its daemons, and a fork beside gRPC's threads may hang."""
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100 * 2**20,
        runtime_env={"env_vars": environment},
    )
    try:
        yield
    finally:
        ray.shutdown()


def hire(name: str, settings: Settings, address: str, redis_url: str = "") -> tuple[Any, int]:
    """A ready rollout actor and its pid."""
    handle = start_actor(name, settings, f"{settings.dir}/settings.yaml", address, redis_url)
    return handle, ray.get(handle.whoami.remote())["pid"]


def assert_whole(episode: Episode, frame_stride: int) -> None:
    """Every step of the counting world is there, once, in order, with its own frames."""
    steps = episode.steps
    count = np.arange(len(steps))
    assert steps.step.tolist() == count.tolist() == steps.proprio[:, 0].tolist()
    assert steps.frame_row.tolist() == count[::frame_stride].tolist()
    for pictures in steps.images.values():
        assert [read_step(picture) for picture in pictures] == steps.frame_row.tolist()
        assert {read_seed(picture) for picture in pictures} == {episode.header.seed}
