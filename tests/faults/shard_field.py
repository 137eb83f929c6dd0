"""Shard processes under writers and a learner, and what their writers were told: for tests that do things to them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome, SampleSpec
from services.clients.connect import connect
from services.clients.rendezvous import home
from services.common.coordination import Coordination, run_key
from tests.experience import CAMERAS, make_header, make_steps
from tests.replay_process import ReplayProcess
from tests.unit.services.common.redis_process import RedisProcess

NAMES = ("shard-0", "shard-1", "shard-2")
PATIENCE_S = 90.0
BATCH = 6  # steps


@dataclass
class Field:
    """Three shard processes, the notice board, and what the work around them has come to."""

    folder: Path
    redis: RedisProcess
    servers: dict[str, ReplayProcess]
    ended: dict[str, int] = field(default_factory=dict)  # episode -> mark, of those whose END was acknowledged
    drawn: dict[str, int] = field(default_factory=dict.fromkeys(NAMES, 0).copy)  # batches by shard
    errors: list[Exception] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    moved: threading.Condition = field(default_factory=threading.Condition)

    def words(self) -> str:
        return ",".join(f"{name}={server.address}" for name, server in self.servers.items())

    def board(self) -> Coordination:
        return Coordination(self.redis.url, run_key(self.folder))

    def until(self, *, ended: int = 0, elsewhere: int = 0, than: str = "", **drawn: int) -> None:
        """So many episodes are acknowledged, so many of them by other shards `than` that one, and so many batches have
        come from each shard that is named."""

        def done() -> bool:
            others = sum(home(each, NAMES) != than for each in self.ended)
            batches = all(self.drawn[name.replace("_", "-")] >= count for name, count in drawn.items())
            return bool(self.errors) or (len(self.ended) >= ended and others >= elsewhere and batches)

        with self.moved:
            assert self.moved.wait_for(done, PATIENCE_S), (self.ended, self.drawn)
        assert self.errors == []

    def attempt(self, work: object, *arguments: object) -> None:
        """What a thread could not outlive is written down."""
        try:
            work(*arguments)  # type: ignore[operator]
        except Exception as error:
            self.errors.append(error)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Field]:
    with ExitStack() as stack:
        redis = RedisProcess(tmp_path)
        stack.callback(redis.kill)
        servers = {}
        for name in NAMES:
            options = ["--shard", name, "--redis", redis.url]
            servers[name] = stack.enter_context(closing(ReplayProcess(tmp_path, name=name, options=options)))
            servers[name].start()
        yield Field(tmp_path, redis, servers)


def assert_true_steps(shard: Shard, name: str, mark: int) -> None:
    found, sent = shard.fetch(name).steps, make_steps(0, 4 * BATCH, mark=mark)
    np.testing.assert_array_equal(found.step, sent.step)
    np.testing.assert_array_equal(found.proprio, sent.proprio)
    np.testing.assert_array_equal(found.frame_row, sent.frame_row)
    for camera in CAMERAS:
        np.testing.assert_array_equal(found.images[camera], sent.images[camera])


def write(ground: Field, mark: int) -> None:
    """Episodes through a spool, one after the other; each is written down once it is acknowledged for good."""
    board = ground.board()
    spool = ground.folder / "spool" / str(mark)
    with closing(board), connect(ground.words(), name=f"p{mark}", board=board, spool=spool) as client:
        number = 0
        while not ground.stop.is_set():
            name = f"p{mark}-{number}"
            writer = client.open(make_header(name, seed=mark))
            for part in range(4):
                writer.append(make_steps(BATCH * part, BATCH * (part + 1), mark=mark))
            writer.end(Outcome.SUCCESS)
            number += 1
            with ground.moved:
                ground.ended[name] = mark
                ground.moved.notify_all()
            ground.stop.wait(0.02)  # four of them fill a slow disk's spool otherwise
        assert client.flush(PATIENCE_S)


def learn(ground: Field) -> None:
    board = ground.board()
    with closing(board), connect(ground.words(), name="learner", board=board) as client:
        stream = client.sample(SampleSpec(table="demos", batch_size=4, chunk=2), timeout=PATIENCE_S)
        while not ground.stop.is_set():
            [shard] = {home(each, NAMES) for each in next(stream).episode_id}
            with ground.moved:
                ground.drawn[shard] += 1
                ground.moved.notify_all()


@contextmanager
def busy(ground: Field, writers: int = 4) -> Iterator[None]:
    """Writers and a learner at work while the body goes on; nothing that they did may have failed."""
    threads = [threading.Thread(target=ground.attempt, args=(write, ground, mark)) for mark in range(1, writers + 1)]
    threads.append(threading.Thread(target=ground.attempt, args=(learn, ground)))
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        ground.stop.set()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert ground.errors == []
    assert not any(thread.is_alive() for thread in threads)


def check(ground: Field) -> None:
    """The disks against what the writers were told: each episode on its home, once, whole."""
    for server in ground.servers.values():
        server.kill()
    for name in NAMES:
        with closing(Shard(ground.folder / name, ShardConfig())) as shard:
            stored = [info.episode_id for info in shard.query()]
            mine = [each for each in ground.ended if home(each, NAMES) == name]
            assert len(stored) == len(set(stored))
            assert set(stored) >= set(mine)
            assert {home(each, NAMES) for each in stored} == {name}
            assert shard.info().open_episodes == 0
            for each in mine:
                assert_true_steps(shard, each, ground.ended[each])
