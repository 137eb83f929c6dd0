"""A replay directory that is only looked at: the same content as the server's, and not a byte is changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ramp.errors import Corrupt, NotFound
from ramp.replay.local import LocalReplay
from ramp.replay.segment import glance
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.shelf import Shelf
from ramp.types import Outcome
from tests.experience import make_header, make_steps, store_episode


def stored(directory: Path, *names: str, segment_bytes: int = 2**20) -> Shard:
    """A shard that goes on running on its directory."""
    shard = Shard(directory, ShardConfig(segment_bytes=segment_bytes))
    for seed, name in enumerate(names):
        store_episode(LocalReplay(shard), name, seed=seed)
    return shard


def content(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(bytes(data))


def test_an_episode_is_read_beside_the_running_server_which_notices_nothing(tmp_path: Path) -> None:
    shard = stored(tmp_path, "a", "b", segment_bytes=4096)
    before = content(tmp_path)

    ours, theirs = Shelf(tmp_path).fetch("b"), shard.fetch("b")

    assert (ours.header, ours.outcome) == (theirs.header, theirs.outcome)
    for name in ("step", "timestamp", "proprio", "action", "reward", "source", "frame_row"):
        np.testing.assert_array_equal(getattr(ours.steps, name), getattr(theirs.steps, name))
    for camera, frames in theirs.steps.images.items():
        np.testing.assert_array_equal(ours.steps.images[camera], frames)
    assert content(tmp_path) == before
    store_episode(LocalReplay(shard), "c")
    assert Shelf(tmp_path).fetch("c").header.episode_id == "c"
    shard.close()


def test_an_episode_that_has_not_ended_is_not_there(tmp_path: Path) -> None:
    shard = stored(tmp_path, "a")
    shard.begin(make_header("half"))
    shard.append("half", 0, make_steps(0, 8))
    for name in ("half", "other"):
        with pytest.raises(NotFound, match="ramp data query"):
            Shelf(tmp_path).fetch(name)
    shard.close()


def test_every_cut_of_a_growing_file_gives_the_records_before_it(tmp_path: Path) -> None:
    stored(tmp_path, "a").close()
    (path,) = (tmp_path / "segments").glob("*.arrows")
    whole, data = list(glance(path)), path.read_bytes()
    ends = [seen.position.offset + seen.position.length for seen in whole]
    for length in range(0, len(data), 61):
        path.write_bytes(data[:length])
        found = [seen.mark for seen in glance(path)]
        assert found == [seen.mark for seen, end in zip(whole, ends, strict=True) if end <= length]
        assert path.stat().st_size == length


def test_a_batch_that_is_not_what_was_written_is_refused(tmp_path: Path) -> None:
    stored(tmp_path, "a", "b").close()
    (path,) = (tmp_path / "segments").glob("*.arrows")
    first = next(seen for seen in glance(path) if seen.mark.kind == "batch")
    flip(path, first.position.offset + first.position.length - 200)  # in the last camera's pictures

    with pytest.raises(Corrupt, match="batch 0"):
        Shelf(tmp_path).fetch("a")
    assert Shelf(tmp_path).fetch("b").outcome is Outcome.SUCCESS


def test_what_a_server_found_damaged_is_left_out(tmp_path: Path) -> None:
    stored(tmp_path, "a", "b").close()
    (path,) = (tmp_path / "segments").glob("*.arrows")
    first = next(seen for seen in glance(path) if seen.mark.kind == "batch")
    flip(path, first.position.offset + first.position.length - 200)
    shard = stored(tmp_path)
    assert shard.scrub(2**30)[1] == 1
    assert [info.episode_id for info in shard.query()] == ["b"]

    left = [seen.mark.number for records in Shelf(tmp_path).segments() for seen in records if seen.mark.kind == "batch"]

    assert left == [0, 1], "nor does a batch count that follows nothing"
    with pytest.raises(Corrupt, match="not all of its 24 steps"):
        Shelf(tmp_path).fetch("a")
    shard.close()


def test_a_directory_without_episodes_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing was stored"):
        Shelf(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_deleted_is_gone_at_once_and_what_is_written_again_is_read_once(tmp_path: Path) -> None:
    shard = stored(tmp_path, *"abcdef", segment_bytes=20_000)
    shard.delete(list("abde"), "a test")
    for _ in range(2):
        shelf = Shelf(tmp_path)
        assert {seen.mark.episode_id for segment in shelf.segments() for seen in segment} == {"c", "f"}
        np.testing.assert_array_equal(shelf.fetch("c").steps.proprio, shard.fetch("c").steps.proprio)
        with pytest.raises(NotFound):
            shelf.fetch("a")
        shard.keep()
    assert any("-1" in path.name for path in (tmp_path / "segments").iterdir())
    shard.close()
