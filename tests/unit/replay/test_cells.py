"""A table of PNGs is a table of pixels that takes less room: the same items, bit for bit, from whoever reads them."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from ramp.data.images import decode_batch
from ramp.errors import Invalid
from ramp.replay.gather import MAX_BATCH_BYTES, check_size
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.shelf import Shelf
from ramp.types import Encoding, SampleSpec, StepSchema
from tests.counting import counting_settings, teach

SPEC = SampleSpec(table="demos", batch_size=24, chunk=4, horizons=(4, 8), track_stride=2)


def taught(folder: Path, encoding: str) -> Shard:
    settings = counting_settings(folder, f"env.image_encoding={encoding}", "env.image_size=32")
    shard = Shard(folder / "replay", ShardConfig())
    for seed in range(3):
        teach(LocalReplay(shard), settings, "count-up", seed, "demos")
    return shard


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, Path]:
    found = {encoding: tmp_path / encoding for encoding in ("raw", "png")}
    for folder in found.values():
        folder.mkdir()
    return found


def test_png_gives_the_same_batches_and_episodes_as_raw_also_after_a_restart(folders: dict[str, Path]) -> None:
    sizes = {}
    for encoding, folder in folders.items():
        shard = taught(folder, encoding)
        sizes[encoding] = shard.info().disk_bytes
        shard.close()
    shards = {encoding: Shard(folder / "replay", ShardConfig()) for encoding, folder in folders.items()}
    drawn = {
        encoding: decode_batch(each.sample(SPEC, np.random.default_rng(1))[0]) for encoding, each in shards.items()
    }
    for field in fields(drawn["raw"]):
        left, right = (getattr(batch, field.name) for batch in drawn.values())
        for a, b in [(left[key], right[key]) for key in left] if isinstance(left, dict) else [(left, right)]:
            np.testing.assert_array_equal(a, b, err_msg=field.name)
    assert sizes["png"] < 0.5 * sizes["raw"]
    for name in drawn["raw"].episode_id[:2]:
        raw, *others = (
            shards["raw"].fetch(name),
            shards["png"].fetch(name),
            Shelf(folders["png"] / "replay").fetch(name),
        )
        for other in others:
            assert other.header.schema == raw.header.schema.encoded(Encoding.PNG)
            for camera, frames in raw.steps.images.items():
                np.testing.assert_array_equal(other.steps.images[camera], frames)
    for shard in shards.values():
        shard.close()


def test_a_batch_of_pictures_is_bounded_by_the_pixels_that_the_learner_will_have() -> None:
    raw = StepSchema(cameras={"top": (224, 224, 3)}, proprio_width=1, action_low=(-1.0,), action_high=(1.0,))
    most = MAX_BATCH_BYTES // (224 * 224 * 3) - 1
    check_size(SampleSpec(table="demos", batch_size=most, chunk=1), raw)
    with pytest.raises(Invalid, match="stay below"):
        check_size(SampleSpec(table="demos", batch_size=most, chunk=1), raw.encoded(Encoding.JPEG))
    check_size(SampleSpec(table="demos", batch_size=int(0.95 * most), chunk=1), raw.encoded(Encoding.JPEG))


def test_a_table_holds_one_encoding(tmp_path: Path) -> None:
    shard = taught(tmp_path, "raw")
    settings = counting_settings(tmp_path, "env.image_encoding=png", "env.image_size=32")
    with pytest.raises(Invalid, match="table demos holds steps of"):
        teach(LocalReplay(shard), settings, "count-up", 9, "demos")
    shard.close()
