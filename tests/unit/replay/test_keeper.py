"""Deleting, compacting, keeping a moment: what is deleted is gone for good, what is not stays as it was."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ramp.errors import Conflict, Invalid, NotFound
from ramp.replay import log
from ramp.replay.local import LocalReplay
from ramp.replay.retention import RetentionConfig
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.table import TableConfig
from ramp.types import Batch, Order, Outcome, SampleSpec
from tests.experience import CAMERAS, make_header, make_steps, store_episode

SPEC = SampleSpec(table="demos", batch_size=16, chunk=3, horizons=(4, 8))
SMALL = ShardConfig(segment_bytes=20_000)  # a few episodes each


def filled(directory: Path, count: int = 12, config: ShardConfig = SMALL) -> Shard:
    shard = Shard(directory, config)
    for seed in range(count):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed, length=22)
    return shard


def draw(shard: Shard, spec: SampleSpec = SPEC, seed: int = 0) -> Batch:
    return shard.sample(spec, np.random.default_rng(seed), timeout=5)[0]


def check(batch: Batch) -> None:
    """Every pixel belongs to its item."""
    for row, name in enumerate(batch.episode_id):
        for camera in CAMERAS:
            expected = [int(batch.step[row]), int(name[1:]) % 251]
            assert batch.images[camera][row].flatten()[:2].tolist() == expected


def segments(shard: Shard) -> list[str]:
    return [path.name for path in shard._log._paths()]


def test_a_deleted_episode_is_gone_and_stays_gone(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    assert shard.delete(["e3", "e4"], "blurred") == 2
    assert shard.delete(["e4"], "again") == 0
    for _ in range(2):
        assert set(draw(shard, dataclasses.replace(SPEC, batch_size=400)).episode_id) == {
            f"e{seed}" for seed in range(12) if seed not in (3, 4)
        }
        assert [info.episode_id for info in shard.query()][3] == "e5"
        with pytest.raises(NotFound, match="blurred"):
            shard.fetch("e3")
        with pytest.raises(Conflict, match="blurred"):
            shard.begin(make_header("e3"))
        with pytest.raises(NotFound):
            shard.update_priorities("demos", ["e3"], [0], np.array([2.0]))
        table = shard.info().table("demos")
        assert table is not None
        assert (table.episodes, table.items, table.steps, table.inserted_items) == (10, 60, 220, 72)
        assert shard.info().deleted_episodes == 2
        shard.close()
        shard = Shard(tmp_path, SMALL)
    shard.close()


def test_nothing_is_deleted_where_one_cannot_be(tmp_path: Path) -> None:
    shard = filled(tmp_path, 2)
    shard.begin(make_header("open"))
    with pytest.raises(Conflict, match="open"):
        shard.delete(["e0", "open"], "a test")
    with pytest.raises(NotFound):
        shard.delete(["e0", "nobody"], "a test")
    assert len(shard.query()) == 2
    shard.close()


def test_labels_of_the_deleted_go_and_those_of_others_stay(tmp_path: Path) -> None:
    shard = filled(tmp_path, 4)
    steps = np.arange(0, 22, 4, dtype=np.int32)
    shard.annotate(1, {f"e{seed}": (steps, np.full(6, 0.5, np.float32)) for seed in range(4)}, extends=False)
    shard.delete(["e1"], "a test")
    assert {info.episode_id for info in shard.query(unlabelled_by=1)} == set()
    assert (draw(shard).annotation_version == 1).all()
    with pytest.raises(NotFound):
        shard.annotate(2, {"e1": (steps, np.full(6, 0.5, np.float32))}, extends=False)
    shard.close()


def test_the_disk_gets_its_room_back_and_no_frame_is_confused(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    before, size = segments(shard), shard.info().disk_bytes
    shard.delete([f"e{seed}" for seed in range(12) if seed not in (2, 7, 11)], "a test")
    gone, freed = shard.keep()
    assert gone == 0
    assert freed > size / 2
    assert shard.info().disk_bytes == size - freed
    for _ in range(2):
        assert set(segments(shard)) != set(before)
        batch = draw(shard, dataclasses.replace(SPEC, batch_size=200))
        check(batch)
        assert set(batch.episode_id) == {"e2", "e7", "e11"}
        assert [shard.fetch(name).steps.proprio[0, 1] for name in ("e2", "e7", "e11")] == [2, 7, 11]
        with pytest.raises(Conflict):
            shard.begin(make_header("e3"))
        shard.close()
        shard = Shard(tmp_path, SMALL)
    shard.close()


def test_a_segment_of_the_deleted_alone_goes_as_a_whole(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    first = segments(shard)[0]
    shard.delete([f"e{seed}" for seed in range(10)], "a test")
    shard.keep()
    assert first not in segments(shard)
    assert not [name for name in segments(shard) if name.startswith("000001")]
    shard.close()
    shard = Shard(tmp_path, SMALL)
    assert [info.episode_id for info in shard.query()] == ["e10", "e11"]
    shard.close()


def test_an_episode_that_is_still_open_survives_the_rewriting_of_where_it_began(tmp_path: Path) -> None:
    shard = Shard(tmp_path, SMALL)
    shard.begin(make_header("e50", seed=50))
    shard.append("e50", 0, make_steps(0, 8, mark=50))
    for seed in range(12):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed, length=22)
    shard.delete([f"e{seed}" for seed in range(12)], "a test")
    assert shard.keep()[1] > 0
    shard.append("e50", 1, make_steps(8, 22, mark=50))
    for _ in range(2):
        assert shard.end("e50", Outcome.SUCCESS, 2).ended
        check(draw(shard))
        shard.close()
        shard = Shard(tmp_path, SMALL)
    shard.close()


def test_an_aborted_episode_gives_its_room_back_and_keeps_its_id(tmp_path: Path) -> None:
    shard = Shard(tmp_path, SMALL)
    for seed in range(12):
        shard.begin(make_header(f"e{seed}"))
        shard.append(f"e{seed}", 0, make_steps(0, 22))
        shard.abort(f"e{seed}")
    size = shard.info().disk_bytes
    assert shard.keep()[1] > size / 2
    shard.close()
    shard = Shard(tmp_path, SMALL)
    with pytest.raises(Conflict, match="aborted"):
        shard.append("e0", 1, make_steps(22, 30))
    shard.close()


@pytest.mark.parametrize("where", ["hidden", "named"])
def test_a_crash_while_a_segment_is_written_again_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Before the new edition has its name, and after it while the old one is still there."""
    shard = filled(tmp_path)
    shard.delete([f"e{seed}" for seed in range(1, 12)], "a test")

    def crash(*_: object) -> None:
        raise OSError("the power fails here")

    with monkeypatch.context() as patched:
        if where == "hidden":
            patched.setattr(log.SegmentWriter, "seal", crash)
        else:
            patched.setattr(log.Log, "drop", crash)
        with pytest.raises(OSError, match="power"):
            shard.keep()
    shard.close()
    shard = Shard(tmp_path, SMALL)
    assert [info.episode_id for info in shard.query()] == ["e0"]
    check(draw(shard))
    shard.keep()
    check(draw(shard))
    assert len({name[:6] for name in segments(shard)}) == len(segments(shard))
    shard.close()


def test_sampling_goes_on_while_segments_are_written_again(tmp_path: Path) -> None:
    """No batch may ever mix an old place with a new file."""
    shard = filled(tmp_path, 40)
    stopped, failures = threading.Event(), []

    def sample() -> None:
        seed = 0
        try:
            while not stopped.is_set():
                check(draw(shard, seed=seed))
                seed += 1
        except Exception as error:  # told to the test's own thread
            failures.append(error)

    samplers = [threading.Thread(target=sample) for _ in range(2)]
    for sampler in samplers:
        sampler.start()
    for seed in range(0, 39):
        shard.delete([f"e{seed}"], "a test")
        shard.keep()
    stopped.set()
    for sampler in samplers:
        sampler.join(60)
    assert failures == []
    assert set(draw(shard).episode_id) == {"e39"}
    shard.close()


def test_bytes_given_back_are_told_apart_from_those_appended_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = filled(tmp_path)
    rewrite = shard._log.rewrite

    def slow(*arguments: Any) -> Any:
        store_episode(LocalReplay(shard), f"e{len(shard.query()) + 20}", length=22)
        return rewrite(*arguments)

    shard.delete([f"e{seed}" for seed in range(12) if seed not in (2, 7, 11)], "a test")
    old = {path.name: path.stat().st_size for path in tmp_path.rglob("[!.]*.arrows")}
    monkeypatch.setattr(shard._log, "rewrite", slow)
    freed = shard.keep()[1]
    new = {path.name: path.stat().st_size for path in tmp_path.rglob("[!.]*.arrows")}
    dropped = sum(size for name, size in old.items() if name not in new)
    editions = sum(size for name, size in new.items() if "-" in name)
    assert freed == dropped - editions > 0
    shard.close()


def test_memory_is_given_back_where_most_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ramp.replay.table.MANY_STEPS", 50)
    shard = filled(tmp_path, 10)
    shard.update_priorities("demos", ["e8"], [4], np.array([9.0]))
    shard.delete([f"e{seed}" for seed in range(7)], "a test")
    table = shard.table("demos")
    assert table._memory is not None
    assert len(table._memory.steps["source"]) == 3 * 22
    assert table.changed_priorities().rows() == [("e8", 4, 9.0)]
    for order in Order:
        batch = draw(shard, dataclasses.replace(SPEC, order=order))
        check(batch)
        assert set(batch.episode_id) <= {"e7", "e8", "e9"}
    store_episode(LocalReplay(shard), "e20", seed=20, length=22)
    check(draw(shard, dataclasses.replace(SPEC, order=Order.LIFO)))
    shard.close()


def test_the_rule_is_applied_and_spares_demonstrations(tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL, retention=RetentionConfig(max_episodes=3))
    shard = Shard(tmp_path, config)
    for seed in range(8):
        store_episode(LocalReplay(shard), f"d{seed}", seed=seed, length=22)
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed, length=22, tables=("online",))
    assert shard.keep()[0] == 5
    assert [info.episode_id for info in shard.query("online")] == ["e5", "e6", "e7"]
    assert len(shard.query("demos")) == 8
    assert shard.keep()[0] == 0
    shard.close()


def test_a_table_of_items_drawn_once_runs_dry_and_goes_on(tmp_path: Path) -> None:
    queue = ShardConfig(tables={"demos": TableConfig(max_times_sampled=1)})
    shard = filled(tmp_path, 2, queue)
    fifo = SampleSpec(table="demos", batch_size=6, chunk=1, order=Order.FIFO)
    assert [set(draw(shard, fifo).episode_id) for _ in range(2)] == [{"e0"}, {"e1"}]
    late = threading.Timer(0.2, lambda: store_episode(LocalReplay(shard), "e2", seed=2, length=22))
    late.start()
    assert set(draw(shard, fifo).episode_id) == {"e2"}
    late.join()
    table = shard.info().table("demos")
    assert table is not None
    assert (table.items, table.dropped_by_task, table.unseen_by_task) == (0, {"count-up": 18}, {})
    shard.close()


def test_a_snapshot_is_that_moment_whatever_comes_later(tmp_path: Path) -> None:
    shard = filled(tmp_path / "shard", 5)
    shard.begin(make_header("open"))
    taken = shard.snapshot("before")
    assert (taken.episodes, taken.name) == (5, "before")
    shard.delete(["e0", "e1", "e2", "e3"], "a test")
    shard.keep()
    store_episode(LocalReplay(shard), "e9", seed=9, length=22)
    kept = Shard(Path(taken.path), SMALL)
    assert [info.episode_id for info in kept.query()] == [f"e{seed}" for seed in range(5)]
    assert kept.info().open_episodes == 1
    check(draw(kept))
    kept.close()
    assert [info.episode_id for info in shard.query()] == ["e4", "e9"]
    check(draw(shard))
    shard.close()


def test_snapshots_are_listed_and_dropped(tmp_path: Path) -> None:
    shard = filled(tmp_path, 2)
    for name in ("one", "two"):
        shard.snapshot(name)
    with pytest.raises(Conflict, match="one"):
        shard.snapshot("one")
    for name in ("", "../up", ".hidden", "a/b", "x" * 129):
        with pytest.raises(Invalid, match="name"):
            shard.snapshot(name)
    assert [each.name for each in shard.snapshots()] == ["one", "two"]
    shard.drop_snapshot("one")
    with pytest.raises(NotFound, match="two"):
        shard.drop_snapshot("one")
    assert [each.name for each in shard.snapshots()] == ["two"]
    shard.close()


def test_snapshots_stay_in_order_when_the_clock_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard(tmp_path, SMALL)
    store_episode(LocalReplay(shard))
    names = ("first", "second", "third")
    for name, clock in zip(names, (2e9, 1e9, 3e9), strict=True):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        shard.snapshot(name)

    assert [each.name for each in shard.snapshots()] == list(names)
    shard.close()


def test_a_start_removes_what_was_dropped_and_what_has_no_schema_yet(tmp_path: Path) -> None:
    shard = Shard(tmp_path, SMALL)
    store_episode(LocalReplay(shard))
    shard.close()
    segments = tmp_path / "segments"
    there = sorted(path.name for path in segments.glob("*.arrows"))
    for name in (".000001.arrows", ".new-000002.arrows", ".new-.000001-1.arrows"):
        (segments / name).write_bytes(b"left by a kill")

    shard = Shard(tmp_path, SMALL)
    assert sorted(path.name for path in segments.glob("*.arrows")) == there
    assert len(shard.fetch("e0").steps) == 24
    store_episode(LocalReplay(shard), "e1")
    shard.close()
