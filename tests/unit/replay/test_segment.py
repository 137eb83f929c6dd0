"""Segments after a crash: the torn tail is found, a flipped bit is found, everything else is read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ramp.replay import pen
from ramp.replay.checksum import digest
from ramp.replay.columns import step_columns, steps_to_arrow
from ramp.replay.notes import columns_to_note
from ramp.replay.pen import Stage
from ramp.replay.record import Mark, Position, Seen
from ramp.replay.segment import Damage, SegmentWriter, scan
from tests.experience import SCHEMA, make_header, make_steps

COLUMNS = step_columns(SCHEMA).with_metadata({"ramp.schema": columns_to_note(make_header())})


@pytest.fixture
def segment(tmp_path: Path) -> tuple[Path, list[Position]]:
    """OPEN, five batches, END of one episode; not closed, as a kill leaves it."""
    writer = SegmentWriter(tmp_path / "000001.arrows", COLUMNS, Stage())
    places = [writer.append(Mark(kind="open", episode_id="e", note="{}"))]
    for number in range(5):
        batch = steps_to_arrow(make_steps(8 * number, 8 * number + 8, mark=number), SCHEMA)
        places.append(writer.append(Mark(kind="batch", episode_id="e", number=number, digest=digest(batch)), batch))
    places.append(writer.append(Mark(kind="end", episode_id="e", note="success 40")))
    writer.sync()
    writer.close()
    return writer.path, places


def kinds(path: Path) -> list[str]:
    return [found.mark.kind if isinstance(found, Seen) else "damage" for found in scan(path)]


def test_everything_written_is_read_back_in_its_place(segment: tuple[Path, list[Position]]) -> None:
    path, places = segment
    found = list(scan(path))
    assert [record.position for record in found if isinstance(record, Seen)] == places
    assert kinds(path) == ["open", *["batch"] * 5, "end"]


def test_any_arrow_reader_can_open_a_segment(segment: tuple[Path, list[Position]]) -> None:
    table = pa.ipc.open_stream(segment[0].read_bytes()).read_all()
    assert table.column("frame_index").to_pylist() == list(range(40))


def test_a_tail_torn_at_any_byte_costs_only_the_last_record(segment: tuple[Path, list[Position]]) -> None:
    path, places = segment
    whole = path.read_bytes()
    for cut in np.random.default_rng(0).integers(places[-2].offset + 1, places[-1].offset, 25).tolist():
        path.write_bytes(whole[:cut])
        found = list(scan(path))
        assert [type(each) for each in found] == [Seen] * 5 + [Damage]
        last = found[-1]
        assert isinstance(last, Damage)
        assert (last.torn, last.offset, last.end) == (True, places[-2].offset, cut)


def test_a_flipped_bit_anywhere_in_a_record_costs_only_that_record(segment: tuple[Path, list[Position]]) -> None:
    path, places = segment
    whole = path.read_bytes()
    hurt = places[3]
    generator = np.random.default_rng(1)
    lost = 0
    for offset in generator.integers(hurt.offset, hurt.offset + hurt.length, 80).tolist():
        data = bytearray(whole)
        data[offset] ^= 1 << int(generator.integers(8))
        path.write_bytes(data)
        found = list(scan(path))
        intact = [each.position for each in found if isinstance(each, Seen)]
        damages = [each for each in found if isinstance(each, Damage)]
        if len(intact) == len(places):  # a bit of padding, which says nothing
            continue
        lost += 1
        assert intact == places[:3] + places[4:]
        assert [(each.offset, each.torn) for each in damages] == [(hurt.offset, False)]
    assert lost > 40


def test_the_last_record_of_a_finished_segment_is_never_taken_for_torn(segment: tuple[Path, list[Position]]) -> None:
    path, places = segment
    data = path.read_bytes() + b"\xff\xff\xff\xff\0\0\0\0"
    assert data[places[-1].offset + 4] != 255
    path.write_bytes(data[: places[-1].offset + 4] + b"\xff\x7f" + data[places[-1].offset + 6 :])
    last = list(scan(path))[-1]
    assert isinstance(last, Damage)
    assert not last.torn


def test_white_pictures_do_not_look_like_records(tmp_path: Path) -> None:
    """Pixels of 255 are the very bytes with which an Arrow message begins."""
    steps = make_steps(0, 8)
    for frames in steps.images.values():
        frames[:] = 255
    writer = SegmentWriter(tmp_path / "000001.arrows", COLUMNS, Stage())
    batch = steps_to_arrow(steps, SCHEMA)
    first = writer.append(Mark(kind="batch", episode_id="e", digest=digest(batch)), batch)
    writer.append(Mark(kind="abort", episode_id="e"))
    writer.close()
    data = bytearray(writer.path.read_bytes())
    data[first.offset + first.length // 2] ^= 1
    writer.path.write_bytes(data)
    assert kinds(writer.path) == ["damage", "abort"]


def test_a_large_record_that_the_disk_refuses_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pen, "DIRECT_BYTES", 2 * pen.BLOCK)
    writer = SegmentWriter(tmp_path / "000001.arrows", COLUMNS, Stage())
    writer.append(Mark(kind="open", episode_id="e", note="{}"))
    batch = steps_to_arrow(make_steps(0, 256), SCHEMA)
    mark = Mark(kind="batch", episode_id="e", digest=digest(batch))

    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        with pytest.raises(OSError, match="full"):
            writer.append(mark, batch)
    assert not writer.torn
    assert kinds(writer.path) == ["open"]
    writer.append(mark, batch)
    writer.append(mark, batch)
    writer.close()
    assert kinds(writer.path) == ["open", "batch", "batch"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"no segment at all"])
def test_a_file_that_is_no_segment_is_one_damaged_range(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "000001.arrows"
    path.write_bytes(content)
    assert kinds(path) == ["damage"]


def test_the_digest_depends_on_content_alone() -> None:
    batch = steps_to_arrow(make_steps(0, 8), SCHEMA)
    again = pa.ipc.open_stream(_stream(batch)).read_next_batch()
    assert digest(batch) == digest(again)
    assert digest(batch) != digest(steps_to_arrow(make_steps(0, 8, mark=1), SCHEMA))


@pytest.mark.parametrize("name", ["subgoal", "hand"])
def test_the_digest_depends_on_the_labels_of_thought(name: str) -> None:
    steps = make_steps(0, 8, thoughts=True)
    before = steps_to_arrow(steps, SCHEMA)
    first = digest(before)
    assert first == digest(pa.ipc.open_stream(_stream(before)).read_next_batch())
    getattr(steps, name)[5] = "else" if name == "subgoal" else 0.5
    assert first != digest(steps_to_arrow(steps, SCHEMA))


def _stream(batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()
