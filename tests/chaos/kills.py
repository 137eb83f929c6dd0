"""kill -9 of the replay server under concurrent writers, and of the writers: judged by what they had written down.

A life is up to KILLS_PER_LIFE kills of one server and WRITERS processes, every other one with a spool. After every
restart the list of ended episodes must continue the one before; at the end of a life, when all writers have handed over
what they had, every acknowledged step is looked for on the disk.
"""

from __future__ import annotations

import os
import random
import select
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from ramp.replay.shard import Shard, ShardConfig
from services.clients.replay import ReplayClient
from tests.chaos.progress import Progress, Row
from tests.chaos.writer import BATCH, BATCHES, Diary
from tests.experience import CAMERAS, make_header, make_steps
from tests.replay_process import ReplayProcess
from tests.warm import WarmProcess

COUNT = 300
WRITERS = 8
KILLS_PER_LIFE = PIECE = 25
ACKS_S = 180.0  # longest wait for the next acknowledgement, on a busy machine


def run(*, count: int, seed: int, folder: Path, writers: int = WRITERS) -> list[Row]:
    """So many kills of the server. Raises AssertionError; the life's files stay in `folder`."""
    progress, total, began = Progress("kills", count), Counter[str](), time.monotonic()
    for number in range(-(-count // KILLS_PER_LIFE)):
        home = folder / f"life-{number}"
        shutil.rmtree(home, ignore_errors=True)
        life = Life(home, random.Random(f"{seed} {number}"), writers, progress)
        total += life.live(min(KILLS_PER_LIFE, count - progress.done))
        shutil.rmtree(home)
    row: Row = {"name": "kills: steps acknowledged and lost, doubled or out of order", "value": 0, "kills": count}
    return [row | dict(total) | {"writers": writers, "seconds": round(time.monotonic() - began, 1)}]


@dataclass
class Producer:
    """One writer's process, and where its record lies."""

    mark: int
    home: Path
    spooled: bool
    process: WarmProcess | None = field(default=None)

    @property
    def diary(self) -> Diary:
        return Diary.read(self.home / f"diary-{self.mark}")

    def start(self, address: str, pulse: Connection) -> None:
        spool = str(self.home / f"spool-{self.mark}") if self.spooled else "-"
        words = [address, str(self.home / f"diary-{self.mark}"), str(self.mark), spool]
        self.process = WarmProcess("tests.chaos.writer", words, self.home / "writers.log", pulse)

    def kill(self) -> None:
        if self.process is not None and self.process.is_alive:
            self.process.kill()

    def stop(self) -> None:
        """After this episode, and once its spool is empty."""
        assert self.process is not None
        self.process.terminate()

    def wait(self) -> int:
        """Its exit status."""
        assert self.process is not None
        return self.process.wait(300)


class Life:
    """One server's directory and its writers."""

    def __init__(self, home: Path, draw: random.Random, writers: int, progress: Progress) -> None:
        self._server, self._draw, self._progress = ReplayProcess(home), draw, progress
        self._home, self._count = home, Counter[str]()
        self._producers = [Producer(mark, home, spooled=mark % 2 == 0) for mark in range(1, writers + 1)]
        self._seen: list[str] = []  # ended episodes, as the server last listed them
        self._acknowledged, self._pulse = Pipe(duplex=False)

    def live(self, kills: int) -> Counter[str]:
        try:
            address = self._server.start()
            for producer in self._producers:
                producer.start(address, self._pulse)
            for _ in range(kills):
                self._await_acknowledgements(self._draw.randint(1, 40))
                self._kill()
                self._progress.step()
            self._await_acknowledgements(1)
            self._end()
        finally:
            for producer in self._producers:
                producer.kill()
            self._server.close()
            self._acknowledged.close()
            self._pulse.close()
        return self._count

    def _await_acknowledgements(self, count: int) -> None:
        while count > 0:
            assert select.select([self._acknowledged], [], [], ACKS_S)[0], f"no acknowledgement; see {self._home}"
            count -= len(os.read(self._acknowledged.fileno(), count))
        threading.Event().wait(self._draw.random() * 0.05)  # into the middle of whatever comes next

    def _kill(self) -> None:
        """Of the server, one in five also while it starts, and one in four of a writer as well."""
        self._server.kill()
        if self._draw.random() < 0.2:
            self._server.launch()
            threading.Event().wait(self._draw.random())
            self._server.kill()
            self._count["killed_while_starting"] += 1
        victim = self._draw.choice(self._producers) if self._draw.random() < 0.25 else None
        if victim:
            victim.kill()
        self._empty_pulse()
        began = time.monotonic()
        address = self._server.start()
        self._count["slowest_start_ms"] = max(self._count["slowest_start_ms"], round(1e3 * (time.monotonic() - began)))
        if victim:
            victim.start(address, self._pulse)
            self._count["writers_killed"] += 1
        self._look(address)

    def _empty_pulse(self) -> None:
        while select.select([self._acknowledged], [], [], 0)[0]:
            os.read(self._acknowledged.fileno(), 65536)

    def _look(self, address: str) -> None:
        """What was ended stays ended, in its order, whole; and what was acknowledged without a spool is there."""
        known = [name for producer in self._producers if not producer.spooled for name in producer.diary.ended]
        with ReplayClient(address, name="judge") as client:
            found = client.query()
        names = [info.episode_id for info in found]
        assert names[: len(self._seen)] == self._seen, "what had been listed before the kill is listed otherwise"
        assert len(names) == len(set(names)), "an episode is there twice"
        assert set(names) >= set(known), f"lost: {sorted(set(known) - set(names))}"
        assert {info.steps for info in found} <= {BATCH * BATCHES}
        self._seen = names

    def _end(self) -> None:
        """The disk against the diaries."""
        for producer in self._producers:
            producer.stop()
        codes = [producer.wait() for producer in self._producers]
        assert not any(codes), (self._home / "writers.log").read_text()[-2000:]
        self._server.kill()
        shard = Shard(self._server.directory, ShardConfig())
        names = [info.episode_id for info in shard.query()]
        assert names[: len(self._seen)] == self._seen
        assert len(names) == len(set(names))
        assert shard.info().quarantined_segments == 0
        for producer in self._producers:
            judge(shard, names, producer.diary, producer)
            self._count["episodes"] += len(producer.diary.ended)
            self._count["batches"] += sum(producer.diary.batches.values())
        shard.close()


def judge(shard: Shard, names: list[str], diary: Diary, producer: Producer) -> None:
    """Everything that one writer was told."""
    mine = [name for name in names if name.startswith(f"p{producer.mark}-")]
    assert set(mine) >= set(diary.ended), f"lost: {sorted(set(diary.ended) - set(mine))}"
    assert mine == sorted(mine, key=lambda name: int(name.partition("-")[2])), "its episodes are out of order"
    for name in mine:
        check_steps(shard, name, producer.mark)
    open_ones = {} if producer.spooled else diary.batches  # of a spool, a half episode is withdrawn
    for name, batches in open_ones.items():
        found = shard.begin(make_header(name, seed=producer.mark)).next_batch
        assert found >= batches, f"{name}: {found} of {batches} acknowledged batches are left"


def check_steps(shard: Shard, name: str, mark: int) -> None:
    found, sent = shard.fetch(name).steps, make_steps(0, BATCH * BATCHES, mark=mark)
    for column in ("step", "proprio", "frame_row"):
        np.testing.assert_array_equal(getattr(found, column), getattr(sent, column))
    for camera in CAMERAS:
        np.testing.assert_array_equal(found.images[camera], sent.images[camera])
