"""A whole learner in one process: the real replay structure without its server, the real registry, no Redis, no Ray."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ramp.envs import label, make_env, make_expert
from ramp.replay.info import AnnotateResult, EpisodeInfo, ReplayInfo
from ramp.replay.shard import Shard, ShardConfig, shard_tables
from ramp.types import Batch, Episode, EpisodeHeader, Outcome, SampleSpec, Source
from services.actor.recording import Recording
from services.clients.registry import DirectoryRegistry
from services.common.coordination import Coordination
from services.common.settings import Settings, compose
from services.learner.checkpoint import Checkpoints
from services.learner.context import Context
from services.learner.publish import Publisher
from services.learner.telemetry import Telemetry


class NearReplay:
    """What ReplayClient offers, on a shard in this process."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        sampling = settings.sampling
        tables = shard_tables(
            min_items=sampling.min_items,
            samples_per_insert=sampling.samples_per_insert,
            slack=sampling.slack,
            human_priority=sampling.human_priority,
        )
        self.shard = Shard(folder, ShardConfig(tables=tables, advantage=settings.advantage))
        self.annotated: list[tuple[int, int, bool]] = []  # (world version, episodes, extends)

    def add(self, settings: Settings, task: str, seed: int, table: str, policy_version: int = 0) -> str:
        """An episode of the counting world by its expert."""
        env = make_env(task, settings.env)
        expert, recording = make_expert(env), Recording(env.control_hz)
        state = env.reset(seed)
        while not (state.success or state.truncated):
            frames = env.render() if len(recording) % settings.env.frame_stride == 0 else None
            action = expert.act()
            recording.add(state.proprio, action, Source.DEMO, frames)
            state = env.step(action)
        labels = label(env, recording.proprio)
        header = EpisodeHeader(
            episode_id=f"{task}-{seed}-{table}",
            task=task,
            instruction=env.instruction,
            robot="test",
            seed=seed,
            max_steps=env.max_steps,
            tables=(table,),
            schema=env.schema,
            thoughts=True,
        )
        self.shard.begin(header)
        batches = list(recording.batches(np.ones(len(recording), bool), policy_version, 50, labels))
        for number, steps in enumerate(batches):
            self.shard.append(header.episode_id, number, steps)
        self.shard.end(header.episode_id, Outcome.SUCCESS if state.success else Outcome.FAILURE, len(batches))
        return header.episode_id

    def sample(self, spec: SampleSpec, *, timeout: float) -> Iterator[Batch]:
        generator = self.shard.generator()
        while True:
            yield self.shard.sample(spec, generator, timeout)[0]

    def query(self, table: str = "", unlabelled_by: int = 0, limit: int = 0) -> list[EpisodeInfo]:
        return self.shard.query(table, unlabelled_by, limit)

    def fetch(self, episode_id: str) -> Episode:
        return self.shard.fetch(episode_id)

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


def counting_settings(folder: Path, *overrides: str) -> Settings:
    return compose("counting", None, [f"dir={folder}", "tasks=count-up,count-down", *overrides])


def filled_replay(settings: Settings) -> NearReplay:
    """With all demonstrations, and enough fresh experience for the joint stage."""
    replay = NearReplay(Path(settings.dir) / "replay", settings)
    for task in settings.tasks:
        for seed in range(settings.demos.episodes_per_task):
            replay.add(settings, task, seed, "demos")
        for seed in range(3):
            replay.add(settings, task, seed, "online", policy_version=1)
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
