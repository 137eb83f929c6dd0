"""What a client decodes, it counts; pixels pass untouched."""

from __future__ import annotations

import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, Encoding, SampleSpec
from services.clients.decoding import Decoder
from services.common import metrics
from tests.experience import SCHEMA, make_steps, store_episode


def drawn(folder: Path, encoding: Encoding) -> Batch:
    with closing(Shard(folder, ShardConfig())) as shard:
        store_episode(LocalReplay(shard), schema=SCHEMA.encoded(encoding))
        spec = SampleSpec(table="demos", batch_size=5, chunk=2, horizons=(4, 8))
        return shard.sample(spec, np.random.default_rng(0))[0]


def test_pixels_pass_and_pictures_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(metrics.LEARNER_DECODED, "inc", counted.append)
    with closing(Decoder(2)) as decoder:
        raw = drawn(tmp_path / "raw", Encoding.RAW)
        assert decoder.batch(raw) is raw
        assert not any(thread.name.startswith("decode") for thread in threading.enumerate())
        found = decoder.batch(drawn(tmp_path / "png", Encoding.PNG))
        assert counted == [5 * (1 + 2) * len(SCHEMA.cameras)]
        for camera, frames in raw.images.items():
            np.testing.assert_array_equal(found.images[camera], frames)
        schema = SCHEMA.encoded(Encoding.PNG)
        steps = decoder.steps(make_steps(0, 12, schema=schema), schema, "e0")
        assert [frame[0, 0, 0] for frame in steps.images["top"]] == [0, 4, 8]
