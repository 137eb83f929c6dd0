"""The wall clock jumps, forward and back, by up to thirty years, under a shard and across its restarts."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np

from ramp.errors import Timeout
from ramp.replay.local import LocalReplay
from ramp.replay.retention import RetentionConfig
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import SampleSpec
from tests.chaos.progress import Progress, Row
from tests.experience import store_episode
from tests.waiting import eventually

COUNT = 1_000
PIECE = 250
YEARS_S = 30 * 365 * 86_400.0
MONTH = RetentionConfig(tables=("demos",), max_age_days=30)
MOMENT = RetentionConfig(tables=("demos",), max_age_days=0.2 / 86_400)
WAIT_S = 0.05


class Clock:
    """Stands for time.time."""

    def __init__(self, draw: random.Random) -> None:
        self._draw, self._real, self.ahead = draw, time.time, 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead

    def jump(self) -> None:
        """By seconds as often as by years, to either side of the true time."""
        size = np.exp(self._draw.uniform(0.0, np.log(YEARS_S)))
        self.ahead = self._draw.choice((-1, 1)) * float(size)


def run(*, count: int, seed: int, folder: Path) -> list[Row]:
    """So many jumps, an act after each. Raises AssertionError."""
    draw, began = random.Random(seed), time.monotonic()
    clock = Clock(draw)
    with patch.object(time, "time", clock):
        life = Life(folder / "shard", clock, draw)
        progress = Progress("clock jumps", count)
        for _ in range(count):
            life.act()
            progress.step()
        life.close()
        forget_by_age(folder / "ages", clock)
    row: Row = {"name": "clocks: jumps after which something was lost, out of order or late", "value": 0}
    return [row | {"jumps": count} | dict(life.acts) | {"seconds": round(time.monotonic() - began, 1)}]


class Life:
    """A shard that forgets after a month, of which hardly a minute passes."""

    def __init__(self, home: Path, clock: Clock, draw: random.Random) -> None:
        self._home, self._clock, self._draw = home, clock, draw
        self._shard = self._open()
        self._stored: list[str] = []
        self._snapshots: list[str] = []
        self.acts: Counter[str] = Counter()

    def _open(self) -> Shard:
        return Shard(self._home, ShardConfig(retention=MONTH, segment_bytes=50_000))

    def act(self) -> None:
        acts = (self._store, self._keep, self._delete, self._snapshot, self._wait, self._restart)
        act = self._draw.choices(acts, (8, 4, 2, 2, 1, 1))[0]
        if act is not self._restart or self._stored:  # the clock of the first start has nothing to be compared with
            self._clock.jump()
            act()
            self.acts[act.__name__[1:]] += 1
        assert [info.episode_id for info in self._shard.query()] == self._stored
        assert [each.name for each in self._shard.snapshots()] == self._snapshots

    def _store(self) -> None:
        name = f"e{self.acts.total()}"
        store_episode(LocalReplay(self._shard), name)
        self._stored.append(name)
        ends = [info.ended_at for info in self._shard.query()]
        assert ends == sorted(ends), "an episode ended before one that had ended before it"

    def _keep(self) -> None:
        assert self._shard.keep()[0] == 0, "an episode of this minute is older than a month"

    def _delete(self) -> None:
        """All but the newest few, so that the shard stays small."""
        gone, self._stored = self._stored[:-5], self._stored[-5:]
        self._shard.delete(gone, "a test")

    def _snapshot(self) -> None:
        if len(self._snapshots) == 4:
            self._shard.drop_snapshot(self._snapshots.pop(0))
        self._snapshots.append(f"s{self.acts.total()}")
        self._shard.snapshot(self._snapshots[-1])

    def _wait(self) -> None:
        """A sampler of an empty table waits as long as it said, whatever the clock does meanwhile."""
        began = time.monotonic()
        try:
            self._shard.sample(SampleSpec(table="online", batch_size=1, chunk=1), np.random.default_rng(0), WAIT_S)
        except Timeout:
            assert time.monotonic() - began >= WAIT_S
        else:
            raise AssertionError("an empty table gave a batch")

    def _restart(self) -> None:
        self._shard.close()
        self._shard = self._open()

    def close(self) -> None:
        self._shard.close()


def forget_by_age(home: Path, clock: Clock) -> None:
    """And what is really old goes, though the clock never shows that any time has passed."""
    shard = Shard(home, ShardConfig(retention=MOMENT))
    store_episode(LocalReplay(shard), "old")

    def forgotten() -> bool:
        clock.jump()
        store_episode(LocalReplay(shard), f"new-{time.monotonic_ns()}")
        shard.keep()
        return "old" not in {info.episode_id for info in shard.query()}

    eventually(forgotten)
    shard.close()
