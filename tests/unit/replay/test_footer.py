"""A start believes the footers of sealed segments, and reads a segment itself where there is none to be believed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ramp.errors import Corrupt
from ramp.replay import recovery
from ramp.replay.columns import steps_to_arrow
from ramp.replay.footer import HURT, TRAILER, read_footer
from ramp.replay.local import LocalReplay
from ramp.replay.segment import glance, scan
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, Order, Outcome, SampleSpec, StepSchema
from tests.experience import CAMERAS, SCHEMA, make_header, make_steps, store_episode

SPEC = SampleSpec(table="demos", batch_size=32, chunk=3, horizons=(4,), order=Order.UNIFORM, track_stride=1)
SMALL = ShardConfig(segment_bytes=12_000)


def stored(directory: Path) -> Shard:
    shard = Shard(directory, SMALL)
    for seed in range(8):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed, length=22, thoughts=seed % 2 == 1)
    return shard


def draw(shard: Shard, spec: SampleSpec = SPEC) -> Batch:
    return shard.sample(spec, np.random.default_rng(0), timeout=5)[0]


def paths(directory: Path) -> list[Path]:
    return sorted((directory / "segments").glob("*.arrows"))


def same(one: Batch, other: Batch) -> None:
    for field in dataclasses.fields(Batch):
        left, right = getattr(one, field.name), getattr(other, field.name)
        for camera in CAMERAS if isinstance(left, dict) else ():
            np.testing.assert_array_equal(left[camera], right[camera])
        if not isinstance(left, dict):
            np.testing.assert_array_equal(left, right)


def test_a_start_reads_no_segment_that_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = stored(tmp_path)
    before, told = draw(shard), shard.query()
    shard.close()
    assert len(paths(tmp_path)) > 4

    def refuse(path: Path) -> object:
        raise AssertionError(f"{path} was scanned")

    monkeypatch.setattr(recovery, "scan", refuse)
    shard = Shard(tmp_path, SMALL)
    same(before, draw(shard))
    assert shard.query() == told
    np.testing.assert_array_equal(shard.fetch("e3").steps.step, np.arange(22))
    shard.close()


def test_after_a_kill_only_what_was_open_is_scanned_and_it_gets_its_footer_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = stored(tmp_path)
    before = draw(shard)
    os.close(shard._guard)  # as a kill leaves it: nothing sealed, nothing closed
    assert [path.name for path in paths(tmp_path) if read_footer(path) is None] == sorted(
        writer.path.name for writer in shard._log._open.values()
    )
    scanned: list[str] = []

    def noted(path: Path) -> object:
        scanned.append(path.name)
        return scan(path)

    monkeypatch.setattr(recovery, "scan", noted)
    again = Shard(tmp_path, SMALL)
    same(before, draw(again))
    assert scanned == sorted(writer.path.name for writer in shard._log._open.values())
    assert all(read_footer(path) is not None for path in paths(tmp_path))
    again.close()


@pytest.mark.parametrize("harm", ["cut", "flip", "trailer", "gone"])
def test_a_footer_that_is_not_whole_costs_a_scan_and_nothing_else(tmp_path: Path, harm: str) -> None:
    shard = stored(tmp_path)
    before = draw(shard)
    shard.close()
    for path in paths(tmp_path):
        data, footer = bytearray(path.read_bytes()), read_footer(path)
        assert footer is not None
        end = footer.size.records
        if harm == "cut":
            data = data[: (end + len(data)) // 2]
        elif harm == "gone":
            data = data[: end - 8]
        else:
            data[(end + len(data)) // 2 if harm == "flip" else len(data) - TRAILER.size + 2] ^= 4
        path.write_bytes(data)
        assert read_footer(path) is None
    for _ in range(2):
        shard = Shard(tmp_path, SMALL)
        same(before, draw(shard))
        assert shard.info().quarantined_segments == 0
        shard.close()
        assert all(read_footer(path) is not None for path in paths(tmp_path))


def test_damage_is_found_once_while_the_server_runs_and_its_episode_leaves(tmp_path: Path) -> None:
    shard = stored(tmp_path)
    shard.close()
    seen = [(path, seen) for path in paths(tmp_path) for seen in glance(path) if seen.rows.num_rows]
    hurt = next((path, found) for path, found in seen if found.mark.episode_id == "e4")
    data = bytearray(hurt[0].read_bytes())
    data[hurt[1].position.offset + hurt[1].position.length - 100] ^= 1
    hurt[0].write_bytes(data)
    shard = Shard(tmp_path, SMALL)
    assert "e4" in {info.episode_id for info in shard.query()}
    found = [shard.scrub(10_000) for _ in range(40)]
    assert sum(damaged for _, damaged in found) == 1
    assert sum(done >= 10_000 for done, _ in found) > 20  # the last of a round is what was left
    assert "e4" not in {info.episode_id for info in shard.query()} | set(draw(shard).episode_id)
    with pytest.raises(Corrupt):
        shard.fetch("e4")
    assert hurt[0].read_bytes().endswith(HURT)
    shard.close()


def test_a_sealed_segment_is_an_arrow_stream_like_any_other(tmp_path: Path) -> None:
    stored(tmp_path).close()
    rows = 0
    for path in paths(tmp_path):
        with pa.OSFile(str(path)) as file:
            rows += pa.ipc.open_stream(file).read_all().num_rows
    assert rows == 8 * 22


def test_segments_of_other_columns_lie_beside_each_other(tmp_path: Path) -> None:
    """Robots come to have another camera, and episodes thoughts: what was stored before is read as it was."""
    old = StepSchema(cameras={"top": (8, 8, 3)}, proprio_width=3, action_low=(-1.0, -0.5), action_high=(1.0, 0.5))
    config = dataclasses.replace(SMALL, tables=dict.fromkeys(("demos", "online"), ShardConfig().tables["demos"]))
    shard = Shard(tmp_path, config)
    replay = LocalReplay(shard)
    store_episode(replay, "before", schema=old, tables=("online",))
    store_episode(replay, "plain")
    store_episode(replay, "thoughtful", thoughts=True)
    for _ in range(2):
        shard.close()
        shard = Shard(tmp_path, config)
        assert len({len(seen.rows.schema) for path in paths(tmp_path) for seen in glance(path)}) == 3
        assert shard.fetch("before").steps.images.keys() == {"top"}
        assert shard.fetch("plain").steps.subgoal is None
        assert shard.fetch("thoughtful").steps.subgoal is not None
        online = draw(shard, dataclasses.replace(SPEC, table="online"))
        assert (set(online.episode_id), online.images.keys()) == ({"before"}, {"top"})
        assert set(draw(shard).episode_id) == {"plain", "thoughtful"}
    shard.close()


def test_what_came_as_columns_is_stored_as_it_came(tmp_path: Path) -> None:
    """Columns with an offset of their own, as a slice of a larger batch has them."""
    shard = Shard(tmp_path, SMALL)
    shard.begin(make_header())
    rows = steps_to_arrow(make_steps(0, 24), SCHEMA)
    for number, begin in enumerate((0, 9)):
        shard.synced(shard.write_rows("e0", number, rows.slice(begin, 9 if number == 0 else 15)))
    shard.end("e0", Outcome.SUCCESS, 2)
    batch = draw(shard, dataclasses.replace(SPEC, batch_size=200))
    for _ in range(2):
        for camera in CAMERAS:
            assert (batch.images[camera][:, 0, 0, 0] == batch.step).all()
        shard.close()
        shard = Shard(tmp_path, SMALL)
        batch = draw(shard, dataclasses.replace(SPEC, batch_size=200))
    shard.close()
