"""What a batch is about to read is asked for ahead, and not again at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ramp.replay import readahead
from ramp.replay.frames import Outline, Places
from ramp.replay.local import LocalReplay
from ramp.replay.readahead import ReadAhead
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, SampleSpec
from tests.experience import store_episode


class Memory:
    """Stands for a map."""

    def __init__(self, size: int) -> None:
        self.asked: list[tuple[int, int]] = []
        self.obj = self.base = self  # as numpy holds a map
        self._size = size

    def __len__(self) -> int:
        return self._size

    def madvise(self, _: int, begin: int, length: int) -> None:
        self.asked.append((begin, begin + length))


def outline_of(places: Places, memory: Memory) -> Outline:
    batch: Batch = None  # type: ignore[assignment]
    return Outline(batch, {}, {"left": places}, {}, dict.fromkeys(places.names, memory))


def test_every_piece_with_a_frame_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readahead, "PIECE", 100)
    memory, ask, now = Memory(950), ReadAhead(), readahead.time.monotonic()
    monkeypatch.setattr(readahead.time, "monotonic", lambda: now)
    offset = np.array([[0, 50, 120], [330, 370, 910]])
    outline = outline_of(Places(["a"], np.zeros((2, 3), int), offset, np.full((2, 3), 40)), memory)
    ask(outline)
    assert sorted(memory.asked) == [(0, 100), (100, 200), (300, 400), (400, 500), (900, 950)]
    ask(outline)
    assert len(memory.asked) == 5
    monkeypatch.setattr(readahead.time, "monotonic", lambda: now + readahead.KNOWN_S)
    ask(outline)
    assert len(memory.asked) == 10


def test_a_table_asks_for_what_it_draws(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard), "e0")
    spec = SampleSpec(table="demos", batch_size=4, chunk=2, horizons=(2, 4))
    outline, _ = shard.table("demos").outline(spec, np.random.default_rng(0), 10.0)
    asked = shard.table("demos")._read_ahead._asked
    assert {name for name, _ in asked} == set(outline.sources)
    shard.close()
