"""A shard over its life: what is acknowledged is there after any restart, once, and as it was."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from ramp.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from ramp.replay.limiter import Limiter
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.table import TableConfig
from ramp.types import Batch, Outcome, SampleSpec, Source, StepSchema
from tests.experience import CAMERAS, frame_steps, make_header, make_steps, store_episode
from tests.waiting import eventually

SPEC = SampleSpec(table="demos", batch_size=16, chunk=3, horizons=(4, 8))


def reopened(shard: Shard) -> Shard:
    directory, config = shard._directory, shard.config
    shard.close()
    return Shard(directory, config)


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
    spec = dataclasses.replace(SPEC, prioritized=True)
    before, query = draw(shard, spec), shard.query()
    sampled = shard.table("demos").limiter.samples
    shard = reopened(shard)
    assert shard.table("demos").limiter.samples == sampled
    same(before, draw(shard, spec))
    assert shard.query() == query
    assert len(list((tmp_path / "segments").glob("*.arrows"))) > 3
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
    assert [info.episode_id for info in shard.query()] == ["e0", "e2", "e3"]
    assert shard.info().quarantined_segments == 1
    assert len(list((tmp_path / "segments" / "quarantine").iterdir())) == 1
    assert "e1" not in draw(shard).episode_id
    with pytest.raises(Corrupt):
        shard.fetch("e1")
    with pytest.raises(Corrupt):
        shard.begin(make_header("e1", seed=1))
    store_episode(LocalReplay(shard), "e9")
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
    batch = draw(shard, SampleSpec(table="online", batch_size=400, chunk=6, prioritized=True))
    valid = {0: [1, 1, 1, 1, 1, 0], 4: [1, 0, 1, 1, 0, 0], 8: [1, 1, 1, 1, 0, 0], 12: [1, 1, 1, 1, 0, 0]}
    for step, expected in valid.items():
        assert (batch.chunk_valid[batch.step == step] == np.array(expected, bool)).all()
    np.testing.assert_allclose(batch.probability, np.where(batch.step == 8, 0.5, 1 / 6))
    assert (batch.source == np.where(batch.step == 8, Source.HUMAN, Source.POLICY)).all()
    shard.close()


def test_tables_agree_on_a_schema_and_have_names(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard))
    other = StepSchema(cameras={"top": (8, 8, 3)}, proprio_width=3, action_low=(-1.0,), action_high=(1.0,))
    with pytest.raises(Invalid, match="schema"):
        shard.begin(make_header("e1", schema=other))
    with pytest.raises(Invalid, match="did you mean online"):
        shard.begin(make_header("e1", tables=("onlin",)))
    shard.begin(make_header("e1", tables=("online",), schema=other))
    with pytest.raises(NotFound, match="demos"):
        shard.sample(SampleSpec(table="demo", batch_size=1, chunk=1), np.random.default_rng(0))
    shard.close()


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
    """While the first one's fsync takes its time, seven others write; one more fsync serves them all."""
    shard, begun, released = Shard(tmp_path, ShardConfig()), threading.Event(), threading.Event()
    shard.begin(make_header("before"))  # it makes the segment
    real, before = os.fsync, shard._log.syncs

    def slow(descriptor: int) -> None:
        begun.set()
        assert released.wait(60)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    threads = [threading.Thread(target=shard.begin, args=(make_header(f"e{k}"),), daemon=True) for k in range(8)]
    threads[0].start()
    assert begun.wait(60)
    for thread in threads[1:]:
        thread.start()
    eventually(lambda: shard.info().open_episodes == 9)
    released.set()
    for thread in threads:
        thread.join(60)
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
        draw(shard, dataclasses.replace(SPEC, prioritized=True))
    shard.close()
