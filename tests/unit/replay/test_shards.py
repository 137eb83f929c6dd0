"""Several shards of a stopped run as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ramp.advantage.config import AdvantageConfig
from ramp.errors import Conflict, Invalid, NotFound, Unavailable
from ramp.replay.local import LocalReplay
from ramp.replay.places import planned
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.shards import Shards
from ramp.replay.shelf import Shelves
from ramp.replay.summary import summarise_all
from services.query.library import Library
from tests.experience import frame_steps, store_episode


@pytest.fixture
def replay(tmp_path: Path) -> Path:
    """Episodes e0, e2 on one shard, e1, e3 on the other; each has labels of one, by other versions."""
    with (
        closing(Shard(tmp_path / "shard-0", ShardConfig())) as even,
        closing(Shard(tmp_path / "shard-1", ShardConfig())) as odd,
    ):
        for number in range(4):
            store_episode(LocalReplay((even, odd)[number % 2]), f"e{number}", seed=number)
        for shard, name, version in ((even, "e0", 3), (odd, "e3", 2)):
            shard.annotate(version, {name: (frame_steps(24), np.linspace(1, 0, 6, dtype=np.float32))}, extends=False)
    return tmp_path


@pytest.fixture
def shards(replay: Path) -> Iterator[Shards]:
    with closing(Shards(replay, ShardConfig())) as opened:
        yield opened


def test_they_list_fetch_and_count_as_one(shards: Shards) -> None:
    assert [info.episode_id for info in shards.query()] == ["e0", "e1", "e2", "e3"]
    assert [shards.fetch(f"e{number}").header.seed for number in range(4)] == [0, 1, 2, 3]
    info = shards.info().table("demos")
    assert info is not None
    assert (info.episodes, info.items, info.labelled) == (4, 24, 0.5)
    assert shards.info().annotation_version == 2
    assert shards.labels("e3") is not None
    assert shards.labels("e1") is None
    with pytest.raises(NotFound):
        shards.fetch("e9")


def test_a_deletion_reaches_every_shard_or_none(shards: Shards) -> None:
    with pytest.raises(NotFound, match="e9"):
        shards.delete(["e0", "e1", "e9"], "a test")
    assert shards.delete(["e0", "e1"], "a test") == 2
    assert shards.delete(["e0", "e1", "e2"], "again") == 1
    assert [info.episode_id for info in shards.query()] == ["e3"]


def test_a_snapshot_is_on_all_shards_or_on_none(shards: Shards) -> None:
    shards.parts()["shard-1"].snapshot("taken")
    with pytest.raises(Conflict):
        shards.snapshot("taken")
    assert shards.parts()["shard-0"].snapshots() == []
    found = shards.snapshot("both")
    assert (found.episodes, len(found.path.split(", "))) == (4, 2)
    assert [each.name for each in shards.snapshots()] == ["taken", "both"]
    shards.drop_snapshot("taken")
    assert shards.snapshots() == [found]


def test_a_view_is_a_table_on_the_shards_that_have_its_episodes(shards: Shards) -> None:
    with pytest.raises(NotFound, match="e9"):
        shards.view("some", ["e0", "e9"])
    assert shards.view("even", ["e2", "e0"], "why").episodes == 2
    assert shards.view("all", ["e3", "e2"]).episodes == 2
    with pytest.raises(Conflict, match="even"):
        shards.view("even", ["e1"])
    assert [(each.name, each.episodes) for each in shards.views()] == [("even", 2), ("all", 2)]
    assert [info.episode_id for info in shards.query("even")] == ["e0", "e2"]
    shards.drop_view("even")
    with pytest.raises(NotFound):
        shards.query("even")
    with pytest.raises(Invalid, match="0 episodes"):
        shards.view("none", [])


def test_where_one_is_open_elsewhere_none_is_held(replay: Path) -> None:
    with closing(Shard(replay / "shard-1", ShardConfig())), pytest.raises(Unavailable):
        Shards(replay, ShardConfig())
    Shards(replay, ShardConfig()).close()


def test_readers_see_the_segments_of_all(replay: Path) -> None:
    (planned(replay, 3)["shard-2"]).mkdir()  # has begun, and nobody has ended an episode on it
    table = summarise_all(Shelves(replay))
    assert table["episode_id"].to_pylist() == ["e0", "e1", "e2", "e3"]
    assert table["number"].to_pylist() == [0, 1, 2, 3]
    library = Library(replay, AdvantageConfig())
    assert library.means["annotation_version"].to_pylist() == [3, None, None, 2]
    assert library.episode("e1")[0].header.seed == 1
    assert library.episode("e3")[1] is not None
    with pytest.raises(NotFound):
        library.episode("e9")
