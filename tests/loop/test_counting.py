"""The counting world through the real stack: what the learner sees is what the world counted, in order, though the
replay server was killed in the middle.

In this world every picture, every proprioception and every expert action tells the step and the seed it belongs to, so
one test proves environment, episode assembly, spool, wire, segments, table, sampling windows and decoding.
"""

from __future__ import annotations

import threading
import uuid
from pathlib import Path

import numpy as np
import pytest

from ramp.envs import make_env, make_expert
from ramp.envs.config import EnvConfig
from ramp.envs.counting import read_action_step, read_camera, read_seed, read_step
from ramp.types import Batch, EpisodeHeader, Outcome, SampleSpec, Source, StepBatch
from services.clients.replay import ReplayClient
from tests.replay_process import ReplayProcess

pytestmark = pytest.mark.loop

STRIDE, CHUNK, HORIZONS = 4, 6, (4, 8, 12)
ENV = EnvConfig(suite="counting", cameras=("left", "right"), image_size=32, frame_stride=STRIDE, max_steps=40)
SPEC = SampleSpec(table="demos", batch_size=32, chunk=CHUNK, horizons=HORIZONS)
APPEND = 7  # steps in one append: frames fall at all places of a batch


def play(client: ReplayClient, seed: int) -> int:
    """One episode of the expert; its length."""
    env = make_env(("count-up", "count-down")[seed % 2], ENV)
    expert, state, steps = make_expert(env), env.reset(seed), []
    writer = client.open(
        EpisodeHeader(
            episode_id=f"c-{seed}-{uuid.uuid4().hex[:8]}",
            task=env.task,
            instruction=env.instruction,
            robot="needle",
            seed=seed,
            max_steps=env.max_steps,
            tables=("demos",),
            schema=env.schema,
        )
    )
    while not (state.success or state.truncated):
        frames = env.render() if len(steps) % STRIDE == 0 else None
        action = expert.act()
        steps.append((state.proprio, action, frames))
        state = env.step(action)
    for begin in range(0, len(steps), APPEND):
        writer.append(columns(steps[begin : begin + APPEND], begin))
    writer.end(Outcome.SUCCESS if state.success else Outcome.FAILURE)
    return len(steps)


def columns(rows: list[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray] | None]], begin: int) -> StepBatch:
    count = len(rows)
    framed = [row for row, (_, _, frames) in enumerate(rows) if frames]
    shape = (0, ENV.image_size, ENV.image_size, 3)
    return StepBatch(
        step=np.arange(begin, begin + count, dtype=np.int32),
        timestamp=np.arange(begin, begin + count) / 10.0,
        proprio=np.array([proprio for proprio, _, _ in rows], np.float32),
        action=np.array([action for _, action, _ in rows], np.float32),
        reward=np.full(count, -1, np.float32),
        source=np.full(count, Source.DEMO, np.uint8),
        trainable=np.ones(count, bool),
        policy_version=np.zeros(count, np.int32),
        frame_row=np.array(framed, np.int32),
        images={
            camera: np.array([rows[row][2][camera] for row in framed], np.uint8).reshape(-1, *shape[1:])  # type: ignore[index]
            for camera in ENV.cameras
        },
    )


def assert_counted(batch: Batch) -> None:
    """Everything about every item agrees on step and seed."""
    for row in range(len(batch.step)):
        step, seed, last = int(batch.step[row]), int(batch.episode_id[row].split("-")[1]), int(batch.length[row]) - 1
        assert batch.proprio[row, :2].tolist() == [step, seed]
        told = [read_action_step(action, ENV.max_steps) for action in batch.action[row]]
        assert told == [min(step + ahead, last) for ahead in range(CHUNK)]
        assert batch.chunk_valid[row].tolist() == [step + ahead <= last for ahead in range(CHUNK)]
        for number, camera in enumerate(ENV.cameras):
            now = batch.images[camera][row]
            assert (read_step(now), read_seed(now), read_camera(now)) == (step, seed, number)
            for column, horizon in enumerate(HORIZONS):
                future, shown = batch.future_images[camera][row, column], min(step + horizon, last - last % STRIDE)
                assert (read_step(future), read_seed(future)) == (shown, seed)
                assert batch.future_proprio[row, column, 0] == shown
                assert batch.future_valid[row, column] == (shown == step + horizon)


def test_a_learner_sees_the_world_in_order_across_a_killed_replay_server(tmp_path: Path) -> None:
    server = ReplayProcess(tmp_path)
    lengths: dict[int, int] = {}
    started, killed = threading.Semaphore(0), threading.Event()

    def act(name: str, seeds: range) -> None:
        with ReplayClient(server.address, name=name, spool=tmp_path / "spool" / name) as client:
            for seed in seeds:
                lengths[seed] = play(client, seed)
                started.release()
                if seed == seeds[len(seeds) // 2]:
                    assert killed.wait(60), "half of the episodes are made while the server is dead or new"
            assert client.flush(60)

    try:
        server.start()
        actors = [threading.Thread(target=act, args=(f"a{k}", range(1000 * k, 1000 * k + 12))) for k in range(2)]
        for actor in actors:
            actor.start()
        with ReplayClient(server.address, name="learner") as learner:
            batches = learner.sample(SPEC, timeout=60)
            for _ in range(20):
                assert_counted(next(batches))
            for _ in range(12):
                assert started.acquire(timeout=60)
            server.kill()
            killed.set()
            for _ in range(4):
                assert started.acquire(timeout=60)
            server.start()
            for actor in actors:
                actor.join(60)
            seen: set[str] = set()
            for _ in range(60):
                batch = next(batches)
                assert_counted(batch)
                seen |= set(batch.episode_id)
            stored = learner.query("demos")
    finally:
        server.close()
    assert {info.seed: info.steps for info in stored} == lengths
    assert len(stored) == 24
    assert len(seen) >= 20
