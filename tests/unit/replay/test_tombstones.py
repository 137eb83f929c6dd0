"""What was deleted stays deleted, whatever a crash does to the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ramp.replay.tombstones import Tombstone, Tombstones


def stone(name: str, reason: str = "a test") -> dict[str, Tombstone]:
    return {name: Tombstone(episode_id=name, reason=reason, deleted_at=1.5)}


def test_they_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    first = Tombstones(path)
    first.add(stone("a"))
    first.add(stone("b", "ein Grund, später\nin zwei Zeilen") | stone("c"))
    again = Tombstones(path)
    assert [each.episode_id for each in again] == ["a", "b", "c"]
    assert again["b"].reason == "ein Grund, später\nin zwei Zeilen"
    assert "d" not in again
    assert (len(again), again.damaged) == (3, 0)


def test_a_torn_line_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    Tombstones(path).add(stone("a") | stone("b"))
    os.truncate(path, path.stat().st_size - 7)
    again = Tombstones(path)
    again.add(stone("c"))
    assert [each.episode_id for each in Tombstones(path)] == ["a", "c"]
    assert again.damaged == 0


def test_a_flipped_bit_costs_one_line_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "tombstones"
    Tombstones(path).add(stone("a") | stone("b"))
    data = bytearray(path.read_bytes())
    data[data.index(b'"a"') + 1] ^= 1
    path.write_bytes(data)
    again = Tombstones(path)
    assert [each.episode_id for each in again] == ["b"]
    assert again.damaged == 1


def test_a_disk_that_refuses_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tombstones"
    stones = Tombstones(path)
    stones.add(stone("a"))
    before = path.read_bytes()

    def refuse(_: int) -> None:
        raise OSError(28, "no room")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="no room"):
            stones.add(stone("b"))
    assert path.read_bytes() == before
    assert "b" not in stones
