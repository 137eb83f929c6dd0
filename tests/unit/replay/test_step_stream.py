"""Steps and labels read from disk against those that the server serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ramp.replay.labelled import Generation, means, read_labels
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.shelf import Shelf
from ramp.replay.step_stream import STEPS, StepStream
from ramp.replay.summary import summarise
from ramp.types import SampleSpec, Source
from tests.experience import frame_steps, store_episode


@pytest.fixture
def shard(tmp_path: Path) -> Shard:
    """Four episodes over several segments, three of them with labels."""
    shard = Shard(tmp_path, ShardConfig(segment_bytes=4096))
    for seed in range(4):
        store_episode(LocalReplay(shard), f"e{seed}", seed=seed)
    falling = np.linspace(0.9, 0.2, 6, dtype=np.float32)
    shard.annotate(5, {f"e{k}": (frame_steps(24), falling / (k + 1)) for k in range(3)}, extends=False)
    return shard


def read(directory: Path, shard: Shard) -> tuple[Generation, list[dict[str, object]]]:
    shelf = Shelf(directory)
    episodes = summarise(shelf)
    generation = read_labels(shelf, episodes, shard.config.advantage)
    stream = StepStream(shelf, episodes["episode_id"].to_pylist(), lambda: generation)
    table = pa.RecordBatchReader.from_stream(stream).read_all()
    table.validate(full=True)
    assert pa.RecordBatchReader.from_stream(stream).read_all() == table  # as often as one likes
    return generation, table.to_pylist()


def test_labels_are_those_that_the_server_samples(shard: Shard, tmp_path: Path) -> None:
    generation, rows = read(tmp_path, shard)

    batch = shard.sample(SampleSpec(table="demos", batch_size=64, chunk=1), np.random.default_rng(0), timeout=5)[0]
    found = {(row["episode_id"], row["step"]): row for row in rows}
    for item, key in enumerate(zip(batch.episode_id, batch.step.tolist(), strict=True)):
        row = found[key]
        if key[0] == "e3":
            assert (row["value"], row["advantage"], row["indicator"]) == (None, None, None)
        else:
            assert row["value"] == batch.value[item]
            assert row["advantage"] == batch.advantage[item]
            assert row["indicator"] == batch.indicator[item]
    assert generation.version == 5
    shard.close()


def test_every_step_is_there_once_with_its_numbers(shard: Shard, tmp_path: Path) -> None:
    _, rows = read(tmp_path, shard)

    assert [(row["episode_id"], row["step"]) for row in rows] == [
        (f"e{k}", step) for k in range(4) for step in range(24)
    ]
    row = rows[24 + 5]
    assert {**row, "action": None} == {
        "episode_id": "e1",
        "step": 5,
        "seconds": 0.5,
        "reward": -1.0,
        "source": "policy",
        "trainable": True,
        "policy_version": 3,
        "frame": False,
        "state": [5.0, 1.0, 0.0],
        "action": None,
        "value": None,
        "advantage": None,
        "indicator": None,
    }
    assert row["action"] == pytest.approx([0.005, 0.0])
    assert [row["frame"] for row in rows[:24]] == [step % 4 == 0 for step in range(24)]
    shard.close()


def test_sources_have_the_names_of_the_noun() -> None:
    assert STEPS.field("source").type.value_type == pa.string()
    assert [source.value for source in Source] == list(range(len(Source)))


def test_means_are_over_frames_and_null_without_labels(shard: Shard, tmp_path: Path) -> None:
    generation, rows = read(tmp_path, shard)

    table = means(["e0", "e3", "e1"], generation)

    assert table["annotation_version"].to_pylist() == [5, None, 5]
    assert table["mean_advantage"].to_pylist()[1] is None
    for place, name in ((0, "e0"), (2, "e1")):
        labelled = [row for row in rows if row["episode_id"] == name and row["frame"]]
        assert table["mean_value"][place].as_py() == pytest.approx(np.mean([row["value"] for row in labelled]))
        assert table["mean_advantage"][place].as_py() == pytest.approx(np.mean([row["advantage"] for row in labelled]))
        assert table["positive_share"][place].as_py() == pytest.approx(np.mean([row["indicator"] for row in labelled]))
    shard.close()


def test_without_annotations_there_are_no_labels(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard))
    generation, rows = read(tmp_path, shard)

    assert (generation.version, dict(generation.labels)) == (0, {})
    assert all(row["value"] is None for row in rows)
    shard.close()
