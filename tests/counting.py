"""The counting world for tests: a run's settings, and episodes by its expert."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ramp.data.images import encode_steps
from ramp.envs import label, make_env, make_expert
from ramp.replay.local import LocalReplay
from ramp.types import Encoding, EpisodeHeader, Outcome, Source
from services.clients.recording import Recording
from services.clients.replay import ReplayClient
from services.common.settings import Settings, compose, save


def counting_settings(folder: Path, *overrides: str) -> Settings:
    """Settings of the test world, on disk in `folder`."""
    settings = compose("counting", None, [f"dir={folder}", *overrides])
    save(settings, folder / "settings.yaml")
    return settings


def teach(
    replay: ReplayClient | LocalReplay,
    settings: Settings,
    task: str,
    seed: int,
    table: str,
    *,
    policy_version: int = 0,
    batch_steps: int = 50,
) -> int:
    """An episode by the counting world's expert, named TASK-SEED-TABLE, in the given table; its length."""
    env = make_env(task, settings.env)
    expert, recording = make_expert(env), Recording(env.control_hz)
    state = env.reset(seed)
    while not (state.success or state.truncated):
        frames = env.render() if len(recording) % settings.env.frame_stride == 0 else None
        action = expert.act()
        recording.add(state.proprio, action, Source.DEMO, frames)
        state = env.step(action)
    header = EpisodeHeader(
        episode_id=f"{task}-{seed}-{table}",
        task=task,
        instruction=env.instruction,
        robot="teacher",
        seed=seed,
        max_steps=env.max_steps,
        tables=(table,),
        schema=env.schema.encoded(Encoding(settings.env.image_encoding)),
        thoughts=True,
    )
    writer = replay.open(header)
    trainable, labels = np.ones(len(recording), bool), label(env, recording.proprio)
    for steps in recording.batches(trainable, policy_version, batch_steps, labels):
        writer.append(encode_steps(steps, header.schema, settings.env.jpeg_quality))
    writer.end(Outcome.SUCCESS if state.success else Outcome.FAILURE)
    return len(recording)
