"""Sums over the columns of segments against the same sums episode by episode."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ramp.replay.local import LocalReplay
from ramp.replay.segment import glance
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.shelf import Shelf
from ramp.replay.summary import SUMMARY, summarise
from ramp.types import Outcome, Source
from tests.experience import make_header, make_steps, store_episode


def driven(shard: Shard, name: str, human: list[tuple[int, int]], cuts: list[int], outcome: Outcome) -> None:
    """An episode that a person drove from the first to before the second step of each pair, sent in batches."""
    writer = LocalReplay(shard).open(make_header(name, tables=("demos", "online"), seed=len(name)))
    for begin, end in zip([0, *cuts[:-1]], cuts, strict=True):
        steps = make_steps(begin, end)
        for first, last in human:
            steps.source[(steps.step >= first) & (steps.step < last)] = Source.HUMAN
        steps.policy_version[:] = 3 + begin
        writer.append(steps)
    writer.end(outcome)


@pytest.fixture
def mixed(tmp_path: Path) -> Shard:
    shard = Shard(tmp_path, ShardConfig(segment_bytes=3000))
    store_episode(LocalReplay(shard), "plain", seed=5, length=22)
    driven(shard, "across", [(6, 14)], [4, 8, 12, 20], Outcome.FAILURE)  # one takeover over three batches
    driven(shard, "twice", [(0, 4), (8, 12)], [4, 8, 12], Outcome.SUCCESS)  # two, each at the edge of a batch
    LocalReplay(shard).open(make_header("aborted")).abort()
    shard.begin(make_header("open"))
    shard.append("open", 0, make_steps(0, 8))
    return shard


def test_every_column_of_every_ended_episode(mixed: Shard, tmp_path: Path) -> None:
    rows = summarise(Shelf(tmp_path)).to_pylist()

    assert len(list((tmp_path / "segments").glob("*.arrows"))) > 2
    assert [row.pop("ended_at") for row in rows] == [each.ended_at for each in mixed.query()]
    assert rows[1] == {
        "number": 1,
        "episode_id": "across",
        "task": "count-up",
        "instruction": "do count-up",
        "robot": "arm",
        "seed": 6,
        "tables": ["demos", "online"],
        "outcome": "failure",
        "success": 0,
        "steps": 20,
        "max_steps": 200,
        "seconds": 1.9,
        "frames": 5,
        "return": -20.0,
        "interventions": 1,
        "human_steps": 8,
        "intervention_rate": 0.4,
        "policy_version_min": 3,
        "policy_version_max": 15,
    }
    assert [(row["episode_id"], row["interventions"], row["human_steps"]) for row in rows] == [
        ("plain", 0, 0),
        ("across", 1, 8),
        ("twice", 2, 8),
    ]
    mixed.close()


def test_it_agrees_with_the_server_before_and_after_a_restart(mixed: Shard, tmp_path: Path) -> None:
    for shard in (mixed, None):
        shard = shard or Shard(tmp_path, ShardConfig())
        rows = {row["episode_id"]: row for row in summarise(Shelf(tmp_path)).to_pylist()}
        infos = shard.query()
        assert list(rows) == [info.episode_id for info in infos]
        for info in infos:
            row = rows[info.episode_id]
            for name in ("task", "steps", "frames", "human_steps", "seed"):
                assert row[name] == getattr(info, name)
            assert (row["outcome"], tuple(row["tables"])) == (info.outcome, info.tables)
        shard.close()


def test_interleaved_episodes_and_the_order_of_their_ends(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig(segment_bytes=2000))
    for name in ("a", "b"):
        shard.begin(make_header(name))
    for number in range(4):
        for name, stride in (("a", 2), ("b", 4)):
            shard.append(name, number, make_steps(8 * number, 8 * number + 8, stride=stride))
    for name in ("b", "a"):
        shard.end(name, Outcome.SUCCESS, 4)

    found = summarise(Shelf(tmp_path))

    assert found["episode_id"].to_pylist() == ["b", "a"]
    assert found["frames"].to_pylist() == [8, 16]
    shard.close()


def test_an_episode_with_a_lost_batch_is_left_out(mixed: Shard, tmp_path: Path) -> None:
    mixed.close()
    records = [(path, seen) for path in sorted((tmp_path / "segments").glob("*.arrows")) for seen in glance(path)]
    path, lost = next((p, s) for p, s in records if (s.mark.episode_id, s.mark.number) == ("across", 1))
    data = bytearray(path.read_bytes())
    data[lost.position.offset + lost.position.length - 200] ^= 1
    path.write_bytes(bytes(data))
    shard = Shard(tmp_path, ShardConfig())
    assert shard.scrub(2**30)[1] == 1
    shard.close()

    assert summarise(Shelf(tmp_path))["episode_id"].to_pylist() == ["plain", "twice"]


def test_frames_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies where the pictures are changes nothing, so nobody has looked."""
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard), "a")
    shard.close()
    before = summarise(Shelf(tmp_path))
    (path,) = (tmp_path / "segments").glob("*.arrows")
    frames = [seen.rows.column("observation.images.top").buffers()[2] for seen in glance(path) if seen.rows.num_rows]
    data = path.read_bytes()
    for buffer in frames:
        data = data.replace(buffer.to_pybytes(), np.random.default_rng(0).bytes(buffer.size))
    path.write_bytes(data)

    assert summarise(Shelf(tmp_path)) == before


def test_nothing_ended_is_an_empty_table(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    shard.begin(make_header("open"))
    assert summarise(Shelf(tmp_path)) == SUMMARY.empty_table()
    shard.append("open", 0, make_steps(0, 8))
    assert summarise(Shelf(tmp_path)) == SUMMARY.empty_table()
    shard.close()
