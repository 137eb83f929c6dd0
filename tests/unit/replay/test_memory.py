"""A memory without some episodes is the one that never knew them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ramp.replay.local import LocalReplay
from ramp.replay.memory import Memory
from ramp.replay.shard import Shard, ShardConfig
from tests.experience import store_episode

LENGTHS = {"e0": 22, "e1": 9, "e2": 30, "e3": 12}


def memory(directory: Path, names: list[str]) -> Memory:
    shard = Shard(directory, ShardConfig())
    for name in names:
        store_episode(LocalReplay(shard), name, seed=int(name[1:]), length=LENGTHS[name])
    known = shard.table("demos")._memory
    shard.close()
    assert known is not None
    return known


@pytest.mark.parametrize("gone", [{"e0"}, {"e3"}, {"e1", "e2"}, set(), set(LENGTHS)])
def test_without_is_as_if_they_had_never_come(tmp_path: Path, gone: set[str]) -> None:
    kept = [name for name in LENGTHS if name not in gone]
    found, numbers = memory(tmp_path / "all", list(LENGTHS)).without(gone)
    assert (found.texts.ids, found.index) == (kept, {name: number for number, name in enumerate(kept)})
    assert numbers[numbers >= 0].tolist() == list(range(len(found.items["row"])))
    if not kept:
        return
    expected = memory(tmp_path / "kept", kept)
    for kind in ("steps", "items", "episodes"):
        for name, column in getattr(expected, kind).items():
            if name != "offset":  # where frames lie in the file does depend on what else is there
                np.testing.assert_array_equal(getattr(found, kind)[name].view, column.view, err_msg=f"{kind}.{name}")


def test_an_item_says_where_it_belongs(tmp_path: Path) -> None:
    known = memory(tmp_path, list(LENGTHS))
    for episode_id, length in LENGTHS.items():
        for step in range(-1, length + 2):
            (item,) = known.items_at([episode_id], np.array([step])).tolist()
            assert (item >= 0) == (0 <= step < length and step % 4 == 0)
            if item >= 0:
                assert known.texts.ids[known.items["episode"].view[item]] == episode_id
                row = known.items["row"].view[item] - known.episodes["begin"].view[known.index[episode_id]]
                assert row == step
    assert known.items_at(["e9", "e0"], np.array([0, 4])).tolist() == [-1, 1]
