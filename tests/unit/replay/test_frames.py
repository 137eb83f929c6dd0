"""Frames by their places: as bytes without a copy, as places, as copies; and segments that do not have them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pyarrow as pa
import pytest

from ramp.errors import Corrupt, Invalid
from ramp.replay.batches import batch_from_arrow, bytes_to_arrow, places_to_arrow
from ramp.replay.frame_columns import SEGMENTS, column_frames
from ramp.replay.frames import Outline, Pixels, filled
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, SampleSpec, StepSchema
from tests.experience import SCHEMA, store_episode

SPEC = SampleSpec(table="demos", batch_size=16, chunk=3, horizons=(4, 8))
TINY = StepSchema(
    cameras={"dot": (1, 1, 3), "line": (1, 5, 3)}, proprio_width=3, action_low=(-1.0, -0.5), action_high=(1.0, 0.5)
)


@pytest.fixture(params=[SCHEMA, TINY], ids=["frames", "frames that Arrow keeps elsewhere, or pads"])
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outline, Pixels]:
    shard = Shard(tmp_path_factory.mktemp("shard"), ShardConfig(segment_bytes=4096))
    for number in range(4):
        store_episode(LocalReplay(shard), f"e{number}", seed=number, schema=request.param)
    table = shard.table("demos")
    outline, _ = table.outline(SPEC, np.random.default_rng(0), 5)
    shard.close()
    return outline, table.pixels


def assert_same(one: Batch, other: Batch) -> None:
    for field in fields(Batch):
        left, right = getattr(one, field.name), getattr(other, field.name)
        pairs = [(left[key], right[key]) for key in left] if isinstance(left, dict) else [(left, right)]
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)


def travelled(record: pa.RecordBatch) -> pa.RecordBatch:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, record.schema) as writer:
        writer.write_batch(record)
    found = pa.ipc.open_stream(sink.getvalue()).read_next_batch()
    found.validate(full=True)
    return found


def test_all_roads_bring_the_same_frames(drawn: tuple[Outline, Pixels]) -> None:
    outline, pixels = drawn
    whole = filled(outline, pixels)
    for row in range(SPEC.batch_size):
        for frames in whole.images.values():
            assert frames[row].flatten()[0] == whole.step[row]
            assert frames[row].flatten()[-1] == int(whole.episode_id[row][1:])
    assert_same(batch_from_arrow(travelled(bytes_to_arrow(outline, pixels))), whole)
    assert_same(batch_from_arrow(travelled(places_to_arrow(outline)), pixels), whole)


def test_bytes_are_sent_from_where_they_lie_and_read_from_where_they_came(drawn: tuple[Outline, Pixels]) -> None:
    outline, pixels = drawn
    camera, places = sorted(outline.images.items())[-1]
    record = bytes_to_arrow(outline, pixels)
    first = pixels(places.names[places.segment[0]]).ctypes.data + places.offset[0]
    assert record.column(f"images.{camera}").buffers()[2].address == first
    found = batch_from_arrow(travelled(record)).images[camera]
    assert not found.flags.writeable
    assert not found.flags.owndata


def test_places_are_refused_where_there_are_no_segments_for_them(drawn: tuple[Outline, Pixels]) -> None:
    record = places_to_arrow(drawn[0])
    with pytest.raises(Invalid, match="places"):
        batch_from_arrow(record)
    with pytest.raises(Corrupt, match="ends before"):
        batch_from_arrow(record, lambda _: np.zeros(8, np.uint8))


@pytest.mark.parametrize(("column", "value"), [(0, -1), (0, 99), (1, -1), (2, 1)])
def test_places_of_nowhere_are_refused(drawn: tuple[Outline, Pixels], column: int, value: int) -> None:
    outline, pixels = drawn
    record = places_to_arrow(outline)
    index = next(i for i, field in enumerate(record.schema) if SEGMENTS in (field.metadata or {}))
    numbers = record.column(index).flatten().to_numpy().copy()
    numbers[column] = value
    kind = record.schema.field(index).type
    wrong = pa.FixedSizeListArray.from_arrays(pa.array(numbers), type=kind)
    with pytest.raises(Invalid):
        batch_from_arrow(record.set_column(index, record.schema.field(index), wrong), pixels)


def test_frames_of_other_lengths_that_make_up_the_right_sum_are_refused() -> None:
    schema = pa.schema([pa.field("images.dot", pa.binary_view(), nullable=False)])
    record = pa.RecordBatch.from_arrays([pa.array([b"12", b"3456"], pa.binary_view())], schema=schema)
    with pytest.raises(Invalid, match="3 bytes a frame"):
        column_frames(record, "images.dot", (2, 1, 1, 3), None)
