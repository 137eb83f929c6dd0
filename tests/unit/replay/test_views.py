"""Views: a named answer that is sampled like a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ramp.errors import Conflict, Invalid, NotFound
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.views import MAX_EPISODES, new_view
from ramp.types import Order, SampleSpec
from tests.experience import make_header, store_episode

SPEC = SampleSpec(table="hard", batch_size=200, chunk=3)


def filled(directory: Path, count: int = 6, **config: object) -> Shard:
    shard = Shard(directory, ShardConfig(**config))  # type: ignore[arg-type]
    for seed in range(count):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed, length=22)
    return shard


def drawn(shard: Shard, spec: SampleSpec = SPEC) -> set[str]:
    return set(shard.sample(spec, np.random.default_rng(0), timeout=5)[0].episode_id)


def test_only_what_it_names_is_drawn_now_and_after_a_restart(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    assert shard.view("hard", ["e4", "e1", "e4"], "steps > 3").episodes == 2
    for _ in range(2):
        assert drawn(shard) == {"e1", "e4"}
        assert {info.episode_id for info in shard.query("hard")} == {"e1", "e4"}
        assert {table.name: table.episodes for table in shard.info().tables} == {"demos": 6, "online": 0, "hard": 2}
        assert [(view.name, view.query) for view in shard.views()] == [("hard", "steps > 3")]
        shard.close()
        shard = Shard(tmp_path, ShardConfig())
    shard.close()


def test_its_order_is_that_of_its_ids(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    shard.view("hard", ["e4", "e1"])
    first = dataclasses.replace(SPEC, batch_size=1, order=Order.FIFO)
    assert drawn(shard, first) == {"e4"}
    shard.close()


def test_what_is_deleted_leaves_it(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    shard.view("hard", ["e1", "e4"])
    shard.delete(["e4"], "blurred")
    for _ in range(2):
        assert drawn(shard) == {"e1"}
        shard.close()
        shard = Shard(tmp_path, ShardConfig())
    shard.close()


def test_its_frames_move_with_a_segment_that_is_written_again(tmp_path: Path) -> None:
    shard = filled(tmp_path, 12, segment_bytes=20_000)
    shard.view("hard", ["e3"])
    before = shard.sample(SPEC, np.random.default_rng(0), timeout=5)[0]
    shard.delete([f"e{seed}" for seed in range(12) if seed != 3], "a test")
    assert shard.keep()[1] > 0
    shard.keep()  # the older edition has gone
    after = shard.sample(SPEC, np.random.default_rng(0), timeout=5)[0]
    for camera, pixels in before.images.items():
        np.testing.assert_array_equal(pixels, after.images[camera])
    shard.close()


def test_labels_are_those_of_the_current_generation(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    frames = {f"e{seed}": shard.fetch(f"e{seed}").steps.frame_row.astype(np.int32) for seed in range(6)}
    shard.annotate(1, {name: (rows, rows / np.float32(100)) for name, rows in frames.items()}, extends=False)
    shard.view("hard", ["e1"])
    batch = shard.sample(SPEC, np.random.default_rng(0), timeout=5)[0]
    np.testing.assert_allclose(batch.value, -batch.step / 100, rtol=1e-6)
    shard.annotate(2, {name: (rows, rows / np.float32(50)) for name, rows in frames.items()}, extends=False)
    batch = shard.sample(SPEC, np.random.default_rng(0), timeout=5)[0]
    np.testing.assert_allclose(batch.value, -batch.step / 50, rtol=1e-6)
    shard.close()


def test_a_name_that_is_taken_and_episodes_that_are_not_there(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    shard.begin(make_header("open"))
    for name, ids, error in (
        ("demos", ["e1"], Conflict),
        ("hard", ["e1", "e77"], NotFound),
        ("hard", ["open"], NotFound),
        ("hard", [], Invalid),
        ("../hard", ["e1"], Invalid),
    ):
        with pytest.raises(error):
            shard.view(name, ids)
    assert shard.views() == []
    shard.view("hard", ["e1"])
    with pytest.raises(Conflict, match="hard"):
        shard.view("hard", ["e2"])
    shard.drop_view("hard")
    with pytest.raises(NotFound, match="none"):
        shard.drop_view("hard")
    with pytest.raises(NotFound, match="hard"):
        drawn(shard)
    shard.close()


def test_bounds() -> None:
    with pytest.raises(Invalid, match="episode_id"):
        new_view("v", [str(number) for number in range(MAX_EPISODES + 1)], "")
    with pytest.raises(Invalid, match="query"):
        new_view("v", ["e"], "x" * 10_001)


def test_a_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    shard = filled(tmp_path)
    shard.view("hard", ["e1"])
    shard.view("harder", ["e2"])
    shard.close()
    (tmp_path / "views" / "hard.json").write_text("{")
    shard = Shard(tmp_path, ShardConfig())
    assert [view.name for view in shard.views()] == ["harder"]
    shard.close()
