"""The counting world through the real stack: what the learner sees is what the world counted, in order, though the
replay server was killed in the middle.

In this world every picture, every proprioception and every expert action tells the step and the seed it belongs to, so
one test proves environment, episode assembly, encoding, spool, wire, segments, table, sampling windows, decoding, and
that the learner's own reader goes on after the crash.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from ramp.data.normalize import Normalizer
from ramp.envs import make_env
from ramp.envs.counting import read_action_step, read_camera, read_seed, read_step
from ramp.types import Batch, SampleSpec
from services.clients.replay import ReplayClient
from services.common.settings import compose
from services.learner.batches import Mixture, convert, open_mixture
from services.learner.sampled import Sampled
from tests.counting import teach
from tests.replay_process import ReplayProcess
from tests.waiting import eventually

pytestmark = pytest.mark.loop

CHUNK, HORIZONS = 6, (4, 8, 12)
SETTINGS = compose("counting", None, ["env.image_size=32", "env.image_encoding=png"])
ENV, STRIDE = SETTINGS.env, SETTINGS.env.frame_stride
SPEC = SampleSpec(table="demos", batch_size=32, chunk=CHUNK, horizons=HORIZONS)
APPEND = 7  # steps in one append: frames fall at all places of a batch


def play(client: ReplayClient, seed: int) -> int:
    """One episode of the expert; its length."""
    return teach(client, SETTINGS, ("count-up", "count-down")[seed % 2], seed, "demos", batch_steps=APPEND)


def learner_batches(client: ReplayClient) -> Mixture:
    """As the learner reads, each batch checked on its way to the tensors."""
    schema, random = make_env("count-up", ENV).schema, np.random.default_rng(0)
    normalizer = Normalizer.fit(random.random((100, schema.proprio_width)), random.random((100, schema.action_width)))

    def checked(batch: Batch) -> Sampled:
        assert_counted(batch)
        return convert(batch, normalizer, 1.0)

    return open_mixture(client, {"demos": SPEC.batch_size}, SPEC, checked)


def drawn(batches: Mixture, count: int) -> set[str]:
    """The episodes that so many batches came from."""
    found = [eventually(lambda: batches.poll(1.0)) for _ in range(count)]
    return {episode for sampled in found for episode, _ in sampled.keys}


def assert_counted(batch: Batch) -> None:
    """Everything about every item agrees on step and seed."""
    for row in range(len(batch.step)):
        step, seed, last = int(batch.step[row]), int(batch.episode_id[row].split("-")[2]), int(batch.length[row]) - 1
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
        with ReplayClient(server.address, name="learner") as learner, learner_batches(learner) as batches:
            drawn(batches, 20)
            for _ in range(12):
                assert started.acquire(timeout=60)
            server.kill()
            killed.set()
            for _ in range(4):
                assert started.acquire(timeout=60)
            server.start()
            for actor in actors:
                actor.join(60)
            assert not any(actor.is_alive() for actor in actors)
            seen = drawn(batches, 60)
            stored = learner.query("demos")
    finally:
        server.close()
    assert {info.seed: info.steps for info in stored} == lengths
    assert len(stored) == 24
    assert len(seen) >= 20
