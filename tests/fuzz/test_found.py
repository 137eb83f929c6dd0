"""What the fuzzers and the model-based test have found, each in a form that can be read."""

from __future__ import annotations

import json
import shutil
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ramp.advantage.config import AdvantageConfig
from ramp.errors import Conflict, Corrupt, Invalid
from ramp.replay import checkpoint
from ramp.replay.annotations import Annotations, read_current
from ramp.replay.local import LocalReplay
from ramp.replay.notes import end_from_note, header_from_note, header_to_note
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.snapshot import Snapshots
from ramp.replay.table import TableConfig
from ramp.replay.tombstones import Tombstones
from ramp.types import Order, SampleSpec
from services.common import codec
from services.common.arrow_bytes import record_to_ipc
from services.query.library import Library
from services.replay.core import ReplayCore
from tests.experience import frame_steps, make_header, store_episode

SPEC = SampleSpec(table="demos", batch_size=2, chunk=1)


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    """With two episodes of 6 items each."""
    found = Shard(tmp_path / "shard", ShardConfig(tables={"demos": TableConfig(max_times_sampled=3)}))
    for number in range(2):
        store_episode(LocalReplay(found), f"e{number}", seed=number)
    return found


def drawn(shard: Shard) -> pa.RecordBatch:
    return ReplayCore(shard).drawn(SPEC, np.random.default_rng(0), places=False)


def sampled(record: pa.RecordBatch) -> bytes:
    """As a server would send it."""
    arrow = record_to_ipc(record).to_pybytes()
    return codec.wire.SampledBatch(arrow=arrow).SerializeToString()


def replaced(record: pa.RecordBatch, name: str, column: pa.Array) -> pa.RecordBatch:
    place = record.schema.get_field_index(name)
    schema = record.schema.set(place, pa.field(name, column.type, nullable=False))
    columns = [column if number == place else each for number, each in enumerate(record.columns)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def test_a_sampled_text_that_ends_before_it_begins_is_refused(shard: Shard) -> None:
    record = drawn(shard)
    true, false = (np.array(offsets, np.int32).tobytes() for offsets in ([0, 8, 16], [0, 1 << 20, -5]))
    assert true in sampled(record)
    with pytest.raises(Invalid, match="arrow"):
        codec.sampled_from_bytes(sampled(record).replace(true, false))


@pytest.mark.parametrize(
    "change", [{"chunk": -1}, {"chunk": 2}, {"horizons": 2**40}, {"cameras": []}, {"cameras": {"top": [-1, 1]}}]
)
def test_a_sampled_batch_of_another_shape_than_it_says_is_refused(shard: Shard, change: dict[str, object]) -> None:
    record = drawn(shard)
    shape = json.loads(record.schema.metadata[b"ramp.shape"]) | change
    with pytest.raises(Invalid, match="arrow"):
        codec.sampled_from_bytes(sampled(record.replace_schema_metadata({"ramp.shape": json.dumps(shape)})))


def test_a_sampled_column_of_another_kind_is_refused(shard: Shard) -> None:
    record = drawn(shard)
    with pytest.raises(Invalid, match="arrow"):
        codec.sampled_from_bytes(sampled(replaced(record, "step", pa.array(["a", "b"]))))


def test_an_annotation_whose_column_lost_its_name_is_damage(tmp_path: Path) -> None:
    Annotations(tmp_path).commit(1, {"e0": (frame_steps(8), np.ones(2, np.float32))}, extends=False)
    part = next(tmp_path.glob("g*/part-0001.arrow"))
    part.write_bytes(part.read_bytes().replace(b"remaining", b"remainder"))
    assert read_current(tmp_path) == (1, {}, 1)


def test_a_flipped_digit_in_a_checkpoint_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.arrow"
    checkpoint.save(path, checkpoint.Checkpoint(samples={"demos": 1234}))
    assert checkpoint.load(path).samples == {"demos": 1234}
    path.write_bytes(path.read_bytes().replace(b"1234", b"9234"))
    assert checkpoint.load(path).samples == {}


def test_a_tombstone_whose_id_is_no_text_is_damage(tmp_path: Path) -> None:
    text = b'{"deleted_at": 1.0, "episode_id": [], "reason": "x"}'
    (tmp_path / "tombstones").write_bytes(b"%d %b\n" % (zlib.crc32(text), text))
    stones = Tombstones(tmp_path / "tombstones")
    assert (len(stones), stones.damaged) == (0, 1)


def test_a_snapshot_without_a_readable_manifest_hides_no_other_and_can_be_dropped(tmp_path: Path) -> None:
    snapshots = Snapshots(tmp_path)
    for name in ("good", "bad"):
        snapshots.take(name, [], 3)
    for damage in ("", "[]", '{"taken_at": 1, "episodes": -1, "bytes": 0}', '{"taken_at": "x"}'):
        (tmp_path / "snapshots" / "bad" / "snapshot.json").write_text(damage)
        assert [each.name for each in snapshots.all()] == ["good"]
    snapshots.drop("bad")
    assert not (tmp_path / "snapshots" / "bad").exists()


def test_a_flipped_bit_in_a_header_costs_one_episode(shard: Shard, tmp_path: Path) -> None:
    shard.close()
    segment = next((tmp_path / "shard" / "segments").glob("*.arrows"))
    segment.write_bytes(segment.read_bytes().replace(b'"seed":1', b'"seed":q'))
    assert Library(tmp_path / "shard", AdvantageConfig()).episodes["episode_id"].to_pylist() == ["e0"]


def test_a_segment_whose_column_lost_its_name_is_left_out(shard: Shard, tmp_path: Path) -> None:
    shard.close()
    segment = next((tmp_path / "shard" / "segments").glob("*.arrows"))
    segment.write_bytes(segment.read_bytes().replace(b"frame_index", b"frame_indux", 1))
    assert Library(tmp_path / "shard", AdvantageConfig()).episodes.num_rows == 0


def test_a_server_starts_on_a_segment_whose_frames_lost_their_name(tmp_path: Path) -> None:
    Shard(tmp_path / "new", ShardConfig()).begin(make_header("e0"))
    segment = next((tmp_path / "new" / "segments").glob("*.arrows"))
    home = tmp_path / "left" / "segments"
    home.mkdir(parents=True)
    (home / segment.name).write_bytes(segment.read_bytes().replace(b"observation.images", b"observation.imagos"))
    shard = Shard(tmp_path / "left", ShardConfig())
    assert shard.info().quarantined_segments == 1
    shard.close()


@pytest.mark.parametrize("note", ["", "[]", "{}", '{"schema": 3}', header_to_note(make_header()).replace("7", '"7"')])
def test_what_no_header_makes_is_corrupt(note: str) -> None:
    with pytest.raises(Corrupt):
        header_from_note(note)


@pytest.mark.parametrize("note", ["", "success", "victory 3", "success many", "success 3 soon"])
def test_what_no_end_makes_is_corrupt(note: str) -> None:
    with pytest.raises(Corrupt):
        end_from_note(note)


# --------------------------------------------------------------------------------------------- the model


def test_a_refused_draw_is_not_counted(shard: Shard) -> None:
    for name in ("e0", "e1"):
        shard.update_priorities("demos", [name] * 6, frame_steps(24).tolist(), np.zeros(6))
    spec = SampleSpec(table="demos", batch_size=2, chunk=1, order=Order.PRIORITIZED)
    with pytest.raises(Invalid, match="every priority is 0"):
        shard.sample(spec, np.random.default_rng(0))
    assert shard.info().table("demos").sampled_items == 0
    shard.close()


def test_priorities_that_no_sum_can_hold_are_refused(shard: Shard) -> None:
    with pytest.raises(Invalid, match="priority"):
        shard.update_priorities("demos", ["e0", "e1"], [0, 0], np.full(2, 1e308))
    shard.close()


def test_priorities_outlive_a_deletion_and_a_crash_behind_their_checkpoint(shard: Shard, tmp_path: Path) -> None:
    shard.update_priorities("demos", ["e0", "e1"], [0, 0], np.array([5.0, 6.0]))
    shard.checkpoint()
    shard.delete(["e0"], "a test")
    shutil.copytree(tmp_path / "shard", tmp_path / "left")
    shard.close()
    again = Shard(tmp_path / "left", shard.config)
    spec = SampleSpec(table="demos", batch_size=64, chunk=1, order=Order.PRIORITIZED)
    batch, _ = again.sample(spec, np.random.default_rng(0))
    assert np.allclose(batch.probability, np.where(batch.step == 0, 6 / 11, 1 / 11))
    assert (batch.step == 0).any()
    again.close()


def test_deleted_episodes_have_no_share_in_what_is_labelled(shard: Shard) -> None:
    values = {"e0": (frame_steps(24), np.linspace(1, 0, 6, dtype=np.float32))}
    shard.annotate(1, values, extends=False)
    shard.delete(["e0"], "a test")
    assert shard.info().table("demos").labelled == 0.0
    shard.close()


def test_inserted_items_are_counted_once_though_they_come_back_after_a_restart(shard: Shard, tmp_path: Path) -> None:
    spec = SampleSpec(table="demos", batch_size=6, chunk=1, order=Order.FIFO)
    for _ in range(3):
        shard.sample(spec, np.random.default_rng(0))
    assert shard.info().table("demos").items == 6
    shard.delete(["e0"], "a test")
    shard.close()
    again = Shard(tmp_path / "shard", shard.config)
    found = again.info().table("demos")
    assert (found.items, found.inserted_items, found.sampled_items) == (6, 12, 18)
    with pytest.raises(Conflict, match="deleted"):
        again.begin(make_header("e0", seed=0))
    again.close()
