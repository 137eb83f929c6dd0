"""A shard over its life: what is acknowledged is there after any restart, once, and as it was."""

from __future__ import annotations

import dataclasses
import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from ramp.errors import Conflict, Corrupt, Invalid, NotFound, Timeout, Unavailable
from ramp.replay.checksum import digest
from ramp.replay.columns import steps_to_arrow
from ramp.replay.footer import mark_hurt
from ramp.replay.limiter import Limiter
from ramp.replay.local import LocalReplay
from ramp.replay.log import Log
from ramp.replay.notes import header_to_note, schema_to_note
from ramp.replay.record import Mark
from ramp.replay.segment import glance
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.shelf import Shelf
from ramp.replay.table import Table, TableConfig
from ramp.types import Batch, Order, Outcome, SampleSpec, Source, StepSchema
from tests.experience import CAMERAS, SCHEMA, frame_steps, make_header, make_steps, store_episode

SPEC = SampleSpec(table="demos", batch_size=16, chunk=3, horizons=(4, 8))
OTHER = StepSchema(cameras={"top": (8, 8, 3)}, proprio_width=3, action_low=(-1.0,), action_high=(1.0,))


def reopened(shard: Shard) -> Shard:
    directory, config = shard._directory, shard.config
    shard.close()
    return Shard(directory, config)


def path_bytes(path: Path) -> int:
    """Of a segment's records."""
    return sum(seen.position.length for seen in glance(path))


def draw(shard: Shard, spec: SampleSpec = SPEC, seed: int = 0) -> Batch:
    return shard.sample(spec, np.random.default_rng(seed), timeout=5)[0]


def same(one: Batch, other: Batch) -> None:
    for field in dataclasses.fields(Batch):
        left, right = getattr(one, field.name), getattr(other, field.name)
        if isinstance(left, dict):
            for camera in CAMERAS:
                np.testing.assert_array_equal(left[camera], right[camera])
        else:
            np.testing.assert_array_equal(left, right)


def test_every_column_of_a_batch_belongs_to_its_item(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    for seed in range(5):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed, length=22)
    batch = draw(shard)
    assert set(batch.episode_id) == {f"e{seed}" for seed in range(5)}
    for row, name in enumerate(batch.episode_id):
        step, mark = int(batch.step[row]), int(name[1:])
        assert batch.proprio[row].tolist() == [step, mark, 0]
        np.testing.assert_allclose(batch.action[row, :, 0], np.minimum(step + np.arange(3), 21) / 1000, atol=1e-7)
        assert batch.chunk_valid[row].tolist() == [step + ahead < 22 for ahead in range(3)]
        for camera, shape in CAMERAS.items():
            assert batch.images[camera][row].shape == shape
            assert batch.images[camera][row].flatten()[:2].tolist() == [step, mark]
            for column, horizon in enumerate((4, 8)):
                shown = min(step + horizon, 20)
                assert batch.future_images[camera][row, column].flatten()[:2].tolist() == [shown, mark]
                assert batch.future_valid[row, column] == (step + horizon <= 20)
                assert batch.future_proprio[row, column, 0] == shown
    assert (batch.length == 22).all()
    assert (batch.max_steps == 200).all()
    assert batch.success.all()
    assert (batch.policy_version == 3).all()
    assert np.isnan(batch.value).all()
    assert (batch.indicator == -1).all()


def test_a_restart_changes_nothing_that_can_be_seen(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig(segment_bytes=4096))
    for seed in range(6):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed)
    shard.annotate(
        2, {f"e{k}": (frame_steps(24), np.linspace(0.5, k / 9, 6, dtype=np.float32)) for k in range(4)}, extends=False
    )
    shard.update_priorities("demos", ["e1", "e2"], [0, 4], np.array([7.0, 0.0]))
    spec = dataclasses.replace(SPEC, order=Order.PRIORITIZED)
    before, query = draw(shard, spec), shard.query()
    sampled = shard.table("demos").limiter.samples
    shard = reopened(shard)
    assert shard.table("demos").limiter.samples == sampled
    same(before, draw(shard, spec))
    assert shard.query() == query
    assert len(list((tmp_path / "segments").glob("*.arrows"))) > 3
    shard.close()


def test_an_episode_of_the_time_before_thoughts_goes_on(tmp_path: Path) -> None:
    """Its header rests without the field, and its segment without the columns."""
    log = Log(tmp_path / "segments")
    note = header_to_note(make_header()).replace(',"thoughts":false', "")
    assert "thoughts" not in note
    log.append(schema_to_note(SCHEMA), Mark(kind="open", episode_id="e0", note=note))
    batch = steps_to_arrow(make_steps(0, 8), SCHEMA)
    log.append(schema_to_note(SCHEMA), Mark(kind="batch", episode_id="e0", digest=digest(batch)), batch)
    log.close()
    shard = Shard(tmp_path, ShardConfig())
    assert shard.begin(make_header()).next_batch == 1
    shard.append("e0", 1, make_steps(8, 16))
    shard.end("e0", Outcome.SUCCESS, 2)
    store_episode(LocalReplay(shard), "e1", thoughts=True)
    spec = dataclasses.replace(SPEC, batch_size=64, track_stride=1)
    before = draw(shard, spec)
    shard = reopened(shard)
    same(before, draw(shard, spec))
    assert {name for name, text in zip(before.episode_id, before.subgoal or (), strict=True) if text} == {"e1"}
    shard.close()


def test_a_track_ends_where_another_takes_over(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    steps = make_steps(0, 40, thoughts=True)
    steps.source[20:] = Source.HUMAN
    writer = LocalReplay(shard).open(make_header(thoughts=True))
    writer.append(steps)
    writer.end(Outcome.SUCCESS)
    batch = draw(shard, dataclasses.replace(SPEC, batch_size=64, track_stride=2))
    assert batch.track_valid is not None
    for step, valid in zip(batch.step, batch.track_valid, strict=True):
        end = 20 if step < 20 else 40
        assert valid.tolist() == [step + 2 * k < end for k in range(1, 11)]
    shard.close()


def test_an_episode_is_invisible_until_it_has_ended_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    shard.begin(make_header("half"))
    shard.append("half", 0, make_steps(0, 8))
    assert shard.query() == []
    shard = reopened(shard)
    assert shard.begin(make_header("half")).next_batch == 1
    shard.append("half", 1, make_steps(8, 16))
    assert shard.end("half", Outcome.FAILURE, 2).ended
    assert [(info.episode_id, info.steps, info.outcome) for info in shard.query()] == [("half", 16, Outcome.FAILURE)]
    np.testing.assert_array_equal(shard.fetch("half").steps.step, np.arange(16))
    shard.close()


def test_whatever_was_acknowledged_may_come_again(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    for _ in range(2):
        for _ in range(2):
            shard.begin(make_header())
            shard.append("e0", 0, make_steps(0, 8))
            shard.append("e0", 1, make_steps(8, 16))
            assert shard.end("e0", Outcome.SUCCESS, 2).ended
        shard = reopened(shard)
    info = shard.info().table("demos")
    assert info is not None
    assert (info.episodes, info.steps, info.items) == (1, 16, 4)
    shard.close()


def test_the_same_id_with_other_content_is_refused(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    shard.begin(make_header())
    shard.append("e0", 0, make_steps(0, 8))
    for _ in range(2):
        with pytest.raises(Conflict, match="episode_id"):
            shard.begin(make_header(task="pull"))
        with pytest.raises(Conflict, match="number"):
            shard.append("e0", 0, make_steps(0, 8, mark=1))
        with pytest.raises(Invalid, match="number"):
            shard.append("e0", 2, make_steps(8, 16))
        with pytest.raises(Invalid, match="batches"):
            shard.end("e0", Outcome.SUCCESS, 2)
        shard = reopened(shard)
    shard.end("e0", Outcome.SUCCESS, 1)
    with pytest.raises(Conflict, match="outcome"):
        shard.end("e0", Outcome.FAILURE, 1)
    with pytest.raises(Conflict, match="abort"):
        shard.abort("e0")
    with pytest.raises(Conflict, match="ended"):
        shard.append("e0", 1, make_steps(8, 16))
    shard.close()


def test_an_aborted_episode_stays_aborted(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    shard.begin(make_header())
    shard.append("e0", 0, make_steps(0, 8))
    shard.abort("e0")
    shard = reopened(shard)
    shard.abort("e0")
    with pytest.raises(Conflict, match="aborted"):
        shard.append("e0", 1, make_steps(8, 16))
    with pytest.raises(Conflict, match="aborted"):
        shard.end("e0", Outcome.SUCCESS, 1)
    assert shard.query() == []
    shard.close()


def test_a_flipped_bit_costs_one_episode_and_is_reported(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    for seed in range(4):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed)
    place = shard._store.entry("e1").positions[1]
    shard.close()
    path = tmp_path / "segments" / place.segment
    data = bytearray(path.read_bytes())
    data[place.offset + place.length // 2] ^= 4
    path.write_bytes(data)
    shard = Shard(tmp_path, shard.config)
    with pytest.raises(Corrupt, match="e1"):
        shard.fetch("e1")
    assert shard.scrub(2**30) == (path_bytes(path), 1)
    for _ in range(2):  # a start after it scans the segment again
        assert [info.episode_id for info in shard.query()] == ["e0", "e2", "e3"]
        assert shard.info().quarantined_segments == 1
        shard = reopened(shard)
    assert shard.scrub(2**30) == (0, 0)
    assert len(list((tmp_path / "segments" / "quarantine").iterdir())) == 1
    assert "e1" not in draw(shard).episode_id
    with pytest.raises(Corrupt):
        shard.fetch("e1")
    with pytest.raises(Corrupt, match="open it again"):
        shard.append("e1", 1, make_steps(12, 24, mark=1))
    store_episode(LocalReplay(shard), "e9")
    shard.close()


def test_whoever_still_has_what_the_disk_has_lost_may_bring_it_again(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    for number in range(3):
        shard.begin(make_header(seed=1))
        shard.append("e0", number, make_steps(8 * number, 8 * number + 8, mark=1))
    shard.end("e0", Outcome.SUCCESS, 3)
    place = shard._store.entry("e0").positions[1]
    shard.close()
    path = tmp_path / "segments" / place.segment
    data = bytearray(path.read_bytes())
    data[place.offset : place.offset + place.length] = bytes(place.length)
    path.write_bytes(data)
    mark_hurt(path)  # else a start believes the footer, and scrubbing finds it later

    shard = Shard(tmp_path, shard.config)
    assert shard.query() == []
    assert shard.begin(make_header(seed=1)).next_batch == 1
    shard.append("e0", 1, make_steps(8, 16, mark=1))
    shard = reopened(shard)
    assert shard.begin(make_header(seed=1)).next_batch == 2, "what lies behind the hole is of another attempt"
    shard.append("e0", 2, make_steps(16, 24, mark=1))
    shard.end("e0", Outcome.SUCCESS, 3)
    for _ in range(2):
        assert shard.fetch("e0").steps.step.tolist() == list(range(24))
        assert len(shard.query()) == 1
        shard = reopened(shard)
    assert Shelf(tmp_path).fetch("e0").steps.step.tolist() == list(range(24))
    shard.close()


def test_a_directory_belongs_to_one_process(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    with pytest.raises(Unavailable, match="another process"):
        Shard(tmp_path, ShardConfig())
    shard.close()
    Shard(tmp_path, ShardConfig()).close()


def test_losing_the_checkpoint_costs_only_the_lead(tmp_path: Path) -> None:
    limited = Limiter.Config(min_size=2, samples_per_insert=4.0, slack=100.0)
    shard = Shard(tmp_path, ShardConfig(tables={"demos": TableConfig(limiter=limited)}))
    store_episode(LocalReplay(shard))
    draw(shard)
    shard.close()
    (tmp_path / "checkpoint.arrow").write_bytes(b"scrambled")
    shard = Shard(tmp_path, shard.config)
    assert shard.table("demos").limiter.lead == 0.0
    draw(shard)
    shard.close()


def test_people_weigh_more_and_no_chunk_spans_a_takeover(tmp_path: Path) -> None:
    tables = {"online": TableConfig(human_priority=3.0)}
    shard = Shard(tmp_path, ShardConfig(tables=tables))
    steps = make_steps(0, 16)
    steps.source[8:12] = Source.HUMAN
    steps.trainable[5] = False
    writer = LocalReplay(shard).open(make_header(tables=("online",)))
    writer.append(steps)
    writer.end(Outcome.SUCCESS)
    batch = draw(shard, SampleSpec(table="online", batch_size=400, chunk=6, order=Order.PRIORITIZED))
    valid = {0: [1, 1, 1, 1, 1, 0], 4: [1, 0, 1, 1, 0, 0], 8: [1, 1, 1, 1, 0, 0], 12: [1, 1, 1, 1, 0, 0]}
    for step, expected in valid.items():
        assert (batch.chunk_valid[batch.step == step] == np.array(expected, bool)).all()
    np.testing.assert_allclose(batch.probability, np.where(batch.step == 8, 0.5, 1 / 6))
    assert (batch.source == np.where(batch.step == 8, Source.HUMAN, Source.POLICY)).all()
    shard.close()


def test_tables_agree_on_a_schema_and_have_names(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard))
    with pytest.raises(Invalid, match="schema"):
        shard.begin(make_header("e1", schema=OTHER))
    with pytest.raises(Invalid, match="did you mean online"):
        shard.begin(make_header("e1", tables=("onlin",)))
    with pytest.raises(NotFound, match="demos"):
        shard.sample(SampleSpec(table="demo", batch_size=1, chunk=1), np.random.default_rng(0))
    shard.close()


def test_an_episode_that_never_ends_fixes_no_schema(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    shard.begin(make_header("wrong", schema=OTHER))
    shard.append("wrong", 0, make_steps(schema=OTHER))
    store_episode(LocalReplay(shard))
    with pytest.raises(Invalid, match="schema"):
        shard.end("wrong", Outcome.SUCCESS, 1)
    shard.abort("wrong")
    shard = reopened(shard)
    assert [info.episode_id for info in shard.query("demos")] == ["e0"]
    shard.close()


def test_an_end_that_its_table_refuses_is_not_on_the_disk_after_a_restart_either(tmp_path: Path) -> None:
    """Which schema a table has is known from ended episodes alone; e1 was opened when there were none."""
    shard = Shard(tmp_path, ShardConfig())
    shard.begin(make_header("e1", schema=OTHER))
    shard = reopened(shard)
    store_episode(LocalReplay(shard))
    shard.append("e1", 0, make_steps(schema=OTHER))
    for _ in range(2):
        with pytest.raises(Invalid, match="schema"):
            shard.end("e1", Outcome.SUCCESS, 1)
        shard = reopened(shard)
    assert [info.episode_id for info in shard.query()] == ["e0"]
    shard.close()


def test_one_episode_that_its_table_refuses_keeps_no_others_from_being_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an older server could leave it: two schemas in one table."""
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard))
    with monkeypatch.context() as patched:
        patched.setattr(Table, "check_schema", lambda *_: None)
        patched.setattr(Table, "insert", lambda *_: None)
        store_episode(LocalReplay(shard), "e1", schema=OTHER)
    shard = reopened(shard)
    assert set(draw(shard).episode_id) == {"e0"}
    shard.close()


def test_an_unknown_task_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig(tasks=("drawer-open-v3", "push-v3")))
    with pytest.raises(Invalid, match="did you mean drawer-open-v3"):
        shard.begin(make_header(task="drawr-open-v3"))
    assert shard.begin(make_header(task="push-v3")).next_batch == 0
    shard.close()


def test_a_batch_that_memory_cannot_hold_is_refused(tmp_path: Path) -> None:
    """Whatever makes it large; also where the table was empty when the stream began."""
    shard = Shard(tmp_path, ShardConfig())
    spec = SampleSpec(table="demos", batch_size=40_000, chunk=4096)
    shard.table("demos").check(spec)
    with pytest.raises(Timeout):
        shard.sample(spec, np.random.default_rng(0), timeout=0)
    store_episode(LocalReplay(shard))
    for huge in (spec, dataclasses.replace(spec, chunk=1, horizons=tuple(range(1, 65)))):
        with pytest.raises(Invalid, match="batch_size"):
            shard.table("demos").check(huge)
        with pytest.raises(Invalid, match="batch_size"):
            shard.sample(huge, np.random.default_rng(0), timeout=0)
    shard.close()


def test_what_a_kill_left_unsynced_is_synced_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(tmp_path / "new" / "segments")
    log.append(schema_to_note(SCHEMA), Mark(kind="open", episode_id="e0", note=header_to_note(make_header())))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    again = Log(tmp_path / "new" / "segments")
    assert len(list(again.recover().records())) == 1
    there = ("new", "new/segments/000001.arrows", "new/segments/000001.arrows", "new/segments")
    assert synced == [(tmp_path / path).stat().st_ino for path in there]  # the records, then the footer that vouches


def test_a_new_directory_has_a_durable_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    Log(tmp_path / "new" / "segments")
    assert synced == [each.stat().st_ino for each in (tmp_path.parent, tmp_path, tmp_path / "new")]


def test_a_segment_whose_name_may_be_lost_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard(tmp_path, ShardConfig())

    def fail(path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr("ramp.replay.durable.sync", fail)
        with pytest.raises(Unavailable, match="refuses to write"):
            shard.begin(make_header())
    shard.begin(make_header())
    assert [path.stat().st_size > 1000 for path in shard._log._paths()] == [False, True]
    shard.close()


def test_a_closed_shard_writes_nothing(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    shard.close()
    with pytest.raises(Unavailable, match="closed"):
        shard.begin(make_header())


def test_labels_follow_the_values_and_extend_within_one_version(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    for seed in range(3):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed)
    falling = np.linspace(0.6, 0.1, 6, dtype=np.float32)
    shard.annotate(1, {"e0": (frame_steps(24), falling)}, extends=False)
    assert [info.episode_id for info in shard.query(unlabelled_by=1)] == ["e1", "e2"]
    with pytest.raises(Invalid, match="extends"):
        shard.annotate(2, {"e1": (frame_steps(24), falling)}, extends=True)
    result = shard.annotate(1, {"e1": (frame_steps(24), falling[::-1])}, extends=True)
    assert (result.episodes, result.items) == (2, 12)
    assert 0 < result.positive < 1
    batch = draw(shard)
    labelled = np.isin(batch.episode_id, ["e0", "e1"])
    assert (batch.annotation_version == labelled).all()
    assert (np.isnan(batch.value) == ~labelled).all()
    assert (batch.indicator[~labelled] == -1).all()
    shard.annotate(2, {"e2": (frame_steps(24), falling)}, extends=False)
    assert [info.episode_id for info in shard.query(unlabelled_by=2)] == ["e0", "e1"]
    shard.close()


def test_a_correction_counts_as_good_before_any_annotation_and_where_one_leaves_it_out(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    steps = make_steps(0, 16)
    steps.source[8:12] = Source.HUMAN
    for name in ("e0", "e1"):
        writer = LocalReplay(shard).open(make_header(name))
        writer.append(steps)
        writer.end(Outcome.SUCCESS)
    for left_out in (("e0", "e1"), ("e1",)):
        batch = draw(shard)
        chosen = np.isin(batch.episode_id, left_out)
        assert (batch.indicator[chosen] == np.where(batch.step[chosen] == 8, 1, -1)).all()
        shard.annotate(1, {"e0": (frame_steps(16), np.zeros(4, np.float32))}, extends=False)
    shard.close()


def test_an_annotation_that_does_not_fit_leaves_no_trace(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard))
    shard.begin(make_header("open"))
    good = np.zeros(6, np.float32)
    wrong = [
        ("open", frame_steps(24), good),
        ("e0", frame_steps(20), good[:5]),
        ("e0", frame_steps(24), np.full(6, np.nan, np.float32)),
    ]
    for name, steps, values in wrong:
        with pytest.raises((Invalid, NotFound)):
            shard.annotate(1, {"e0": (frame_steps(24), good), name: (steps, values)}, extends=False)
    with pytest.raises(Invalid, match="world_version"):
        shard.annotate(0, {}, extends=False)
    assert shard.info().annotation_version == 0
    shard.close()


def test_many_producers_share_one_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one's fsync takes its time; what the others write meanwhile is synced together, by the next."""
    shard = Shard(tmp_path, ShardConfig())
    shard.begin(make_header("first"))
    true_fsync, entered, go_on, written = os.fsync, threading.Event(), threading.Event(), threading.Semaphore(0)

    def slow(descriptor: int) -> None:
        entered.set()
        assert go_on.wait(30)
        true_fsync(descriptor)

    def begin(number: int) -> None:
        ticket = shard.write_begin(make_header(f"e{number}"))
        written.release()
        shard.synced(ticket)

    monkeypatch.setattr(os, "fsync", slow)
    before = shard._log.syncs
    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    threads[0].start()
    assert entered.wait(30)
    for thread in threads[1:]:
        thread.start()
    for _ in threads:
        assert written.acquire(timeout=30)
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert shard._log.syncs == before + 2
    shard.close()


def test_priorities_of_strangers_are_refused(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard))
    for name, step in (("e1", 0), ("e0", 1), ("e0", 24), ("e0", -4)):
        with pytest.raises(NotFound):
            shard.update_priorities("demos", [name], [step], np.array([1.0]))
    with pytest.raises(Invalid):
        shard.update_priorities("demos", ["e0"], [0, 4], np.array([1.0]))
    shard.update_priorities("demos", ["e0"] * 6, list(range(0, 24, 4)), np.zeros(6))
    with pytest.raises(Invalid, match="every priority is 0"):
        draw(shard, dataclasses.replace(SPEC, order=Order.PRIORITIZED))
    shard.close()


def test_what_is_read_from_segments_takes_no_memory_of_the_server(tmp_path: Path) -> None:
    """Segments are mapped: their pages are the kernel's, which takes them back where it needs them. What the process
    has for itself (RssAnon) stays flat, however much is read; so data may be larger than memory."""
    large = StepSchema(cameras={"top": (256, 256, 3)}, proprio_width=3, action_low=(-1.0,), action_high=(1.0,))
    shard = Shard(tmp_path, ShardConfig(segment_bytes=2**22))
    for number in range(24):
        store_episode(LocalReplay(shard), f"e{number}", schema=large, length=64)
    spec = dataclasses.replace(SPEC, horizons=(), order=Order.UNIFORM)
    draw(shard, spec)
    before, size = anonymous(), shard.info().disk_bytes
    for seed in range(60):
        draw(shard, spec, seed)
    for number in range(24):
        shard.fetch(f"e{number}")
    assert size > 70 * 2**20
    assert anonymous() - before < size / 4
    shard.close()


def anonymous() -> int:
    """Bytes of memory that belong to this process alone and lie in no file."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])
