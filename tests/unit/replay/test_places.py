"""Where shards lie, and how a run gets more of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.errors import Invalid
from ramp.replay.places import MOVING, check_count, lay_out, planned, shard_places


def test_a_shard_that_was_alone_moves_to_its_place_among_several(tmp_path: Path) -> None:
    replay = tmp_path / "replay"
    assert lay_out(replay, 1) == shard_places(replay) == {"shard-0": replay}
    (replay / "segments").mkdir(parents=True)
    places = lay_out(replay, 3)
    assert places == planned(replay, 3) == {f"shard-{each}": replay / f"shard-{each}" for each in range(3)}
    assert (replay / "shard-0" / "segments").is_dir()
    assert lay_out(replay, 3) == places
    assert shard_places(replay) == {"shard-0": replay / "shard-0"}


@pytest.mark.parametrize("count", [1, 2])
def test_a_move_that_was_cut_off_is_brought_to_its_end(tmp_path: Path, count: int) -> None:
    replay = tmp_path / "replay"
    (tmp_path / MOVING / "segments").mkdir(parents=True)
    assert (lay_out(replay, count)["shard-0"] / "segments").is_dir()
    assert not (tmp_path / MOVING).exists()


def test_a_run_never_gets_fewer_shards(tmp_path: Path) -> None:
    for each in (0, 1, 10):
        (tmp_path / f"shard-{each}").mkdir()
    assert list(shard_places(tmp_path)) == ["shard-0", "shard-1", "shard-10"]
    check_count(tmp_path, 11)
    with pytest.raises(Invalid, match="give 11 or more"):
        check_count(tmp_path, 10)
