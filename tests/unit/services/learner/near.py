"""A whole learner in one process: the real replay structure without its server, the real registry, no Redis, no Ray."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ramp.replay.info import AnnotateResult, EpisodeInfo, ReplayInfo
from ramp.replay.local import LocalReplay
from ramp.replay.run_tables import shard_tables
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Episode, Kind
from services.clients.registry import DirectoryRegistry
from services.common.coordination import Coordination
from services.common.settings import Settings
from services.learner.checkpoint import Checkpoints
from services.learner.context import Context
from services.learner.publish import Publisher
from services.learner.telemetry import Telemetry
from tests.counting import teach


class NearReplay(LocalReplay):
    """What ReplayClient offers, on a shard in this process."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        sampling = settings.sampling
        tables = shard_tables(
            min_items=sampling.min_items,
            samples_per_insert=sampling.samples_per_insert,
            slack=sampling.slack,
            human_priority=sampling.human_priority,
        )
        super().__init__(Shard(folder, ShardConfig(tables=tables, advantage=settings.advantage)))
        self.annotated: list[tuple[int, int, bool]] = []  # (world version, episodes, extends)

    def query(self, table: str = "", unlabelled_by: int = 0, limit: int = 0) -> list[EpisodeInfo]:
        return self.shard.query(table, unlabelled_by, limit)

    def fetch(self, episode_id: str, *, decode: bool = True) -> Episode:
        return self.shard.fetch(episode_id, decode=decode)

    def annotate(
        self, world_version: int, values: Iterable[tuple[str, np.ndarray, np.ndarray]], *, extends: bool
    ) -> AnnotateResult:
        found = {episode: (steps, remaining) for episode, steps, remaining in values}
        self.annotated.append((world_version, len(found), extends))
        return self.shard.annotate(world_version, found, extends=extends)

    def info(self) -> ReplayInfo:
        return self.shard.info()

    def close(self) -> None:
        self.shard.close()


def filled_replay(settings: Settings) -> NearReplay:
    """With all demonstrations, and enough fresh experience for the joint stage."""
    replay = NearReplay(Path(settings.dir) / "replay", settings)
    for task in settings.tasks:
        for seed in range(settings.demos.episodes_per_task):
            teach(replay, settings, task, seed, "demos")
        for seed in range(3):
            teach(replay, settings, task, seed, "online", policy_version=1)
    return replay


def context(settings: Settings, replay: NearReplay) -> Context:
    """A fresh life of the worker."""
    where = Path(settings.dir)
    registry, board = DirectoryRegistry(where / "registry"), Coordination("", where.name)
    return Context(
        settings=settings,
        replay=replay,  # type: ignore[arg-type]
        registry=registry,
        board=board,
        publisher=Publisher(
            registry,
            board,
            replay,  # type: ignore[arg-type]
            settings.recipe,
            precision=settings.training.precision,
            home=where / "checkpoints",
        ),
        checkpoints=Checkpoints(where / "checkpoints"),
        telemetry=Telemetry(board, 0),
        basis_path=where / "checkpoints" / "basis.json",
    )


def registry(settings: Settings) -> DirectoryRegistry:
    return DirectoryRegistry(Path(settings.dir) / "registry")


def updates(settings: Settings, kind: Kind) -> list[int]:
    found = registry(settings)
    return [found.manifest(kind, version)["update"] for version in found.versions(kind)]


def assert_complete(settings: Settings) -> None:
    """Every version that the recipe promises, once, and the aliases in their places."""
    stages, training, found = settings.stages, settings.training, registry(settings)
    first, last = stages.policy_updates, stages.policy_updates + stages.joint_updates
    assert updates(settings, Kind.POLICY) == [
        first,
        *range(first + training.publish_every, last, training.publish_every),
        last,
    ]
    relabels = (stages.joint_updates - 1) // training.relabel_every
    assert len(found.versions(Kind.WORLD)) == 1 + relabels
    policies, worlds = found.aliases(Kind.POLICY), found.aliases(Kind.WORLD)
    assert policies == {"stage2": 1, "latest": policies["final"], "final": found.versions(Kind.POLICY)[-1]}
    assert worlds["final"] == found.manifest(Kind.POLICY, "final")["world_version"]


class Killed(BaseException):
    """Stands for a death without any farewell."""
