"""Frames become cells and pixels again; what cannot is named with its episode, step and camera."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from ramp.data.images import TOGETHER, decode, decode_batch, decode_steps, encode, encode_steps
from ramp.errors import Corrupt, Invalid
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, Encoding, SampleSpec
from tests.experience import SCHEMA, make_header, make_steps, store_episode

PLAIN = np.full((24, 40, 3), (200, 90, 30), np.uint8)
NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 4), np.uint8)
MIXED = replace(SCHEMA, encodings={"wrist": Encoding.PNG})  # top stays raw


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_png_gives_every_bit_back(channels: int) -> None:
    frame = NOISE[..., :channels]
    assert np.array_equal(decode(encode(frame, Encoding.PNG), frame.shape), frame)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_comes_close_and_closer_with_more_quality(channels: int) -> None:
    frame = PLAIN[..., :channels]
    assert np.abs(decode(encode(frame, Encoding.JPEG), frame.shape).astype(int) - frame).max() <= 3
    noise = NOISE[..., :channels]
    errors = [np.abs(decode(encode(noise, Encoding.JPEG, q), noise.shape).astype(int) - noise).mean() for q in (20, 95)]
    assert errors[1] < errors[0]
    assert len(encode(noise, Encoding.JPEG, 20)) < len(encode(noise, Encoding.JPEG, 95))


@pytest.mark.parametrize("channels", [2, 4])
def test_depth_does_not_become_a_jpeg(channels: int) -> None:
    with pytest.raises(Invalid, match=r"jpeg of . channels; use png or raw"):
        encode(NOISE[..., :channels], Encoding.JPEG)


def test_a_picture_is_not_decoded_into_another_shape() -> None:
    cell = encode(PLAIN, Encoding.PNG)
    with pytest.raises(ValueError, match=r"\(24, 40, 3\), not \(24, 40, 4\)"):
        decode(cell, (24, 40, 4))
    with pytest.raises(ValueError, match="cannot be decoded"):
        decode(cell[:60] + bytes(20) + cell[80:], (24, 40, 3))


def test_only_the_cameras_that_the_schema_encodes_become_cells_and_once_only() -> None:
    raw = make_steps(0, 12, mark=7)
    sent = encode_steps(raw, MIXED)
    assert np.array_equal(sent.images["top"], raw.images["top"])
    assert [type(cell) for cell in sent.images["wrist"]] == [bytes] * 3
    again = encode_steps(sent, MIXED)
    assert again.images["wrist"] is sent.images["wrist"]
    back = decode_steps(again, MIXED, "e0")
    for camera, frames in raw.images.items():
        np.testing.assert_array_equal(back.images[camera], frames)


def test_an_episodes_bad_picture_is_named() -> None:
    sent = encode_steps(make_steps(0, 12), MIXED)
    sent.images["wrist"][1] = sent.images["wrist"][1][:-9]
    with pytest.raises(Corrupt, match="episode e7, step 4, wrist: a PNG that is cut off"):
        decode_steps(sent, MIXED, "e7")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    """As a shard gives it: cells of one camera, pixels of the other."""
    shard = Shard(tmp_path_factory.mktemp("shard"), ShardConfig())
    store_episode(LocalReplay(shard), "e0", length=60, schema=MIXED)
    spec = SampleSpec(table="demos", batch_size=40, chunk=2, horizons=(4, 8))
    return shard.sample(spec, np.random.default_rng(0))[0]


def test_a_batch_is_decoded_by_whoever_spreads_the_work(drawn: Batch) -> None:
    names: set[str] = set()
    with ThreadPoolExecutor(3) as pool:

        def spread(work, parts):
            def noted(part: range) -> None:
                names.add(threading.current_thread().name)
                assert 1 <= len(part) <= TOGETHER
                work(part)

            return pool.map(noted, parts)

        found = decode_batch(drawn, spread)
    assert threading.current_thread().name not in names
    assert found.images["top"] is drawn.images["top"]
    for name, step in zip(found.images["wrist"][:, 0, 0, 0].tolist(), drawn.step.tolist(), strict=True):
        assert name == step
    ahead = np.minimum(drawn.step[:, None] + np.array([4, 8]), 56)
    np.testing.assert_array_equal(found.future_images["wrist"][:, :, 0, 0, 0], ahead)
    assert found.future_images["wrist"].shape == (40, 2, 4, 6, 3)


@pytest.mark.parametrize("place", [0, 5])
def test_a_batchs_bad_picture_is_named(drawn: Batch, place: int) -> None:
    now, ahead = drawn.images["wrist"].copy(), drawn.future_images["wrist"].copy()
    now[place] = b"rubbish"
    step = drawn.step[place]
    with pytest.raises(Corrupt, match=f"episode e0, step {step}, wrist: 7 bytes that are neither"):
        decode_batch(replace(drawn, images={**drawn.images, "wrist": now}))
    ahead[place, 1] = bytes(ahead[place, 1])[:-5]
    with pytest.raises(Corrupt, match=rf"episode e0, step {step} \(frame ahead 2\), wrist: a PNG that is cut off"):
        decode_batch(replace(drawn, future_images={**drawn.future_images, "wrist": ahead}))


def test_a_header_of_encoded_cameras_says_so() -> None:
    assert make_header().schema.encoded(Encoding.JPEG).encodings == {"wrist": Encoding.JPEG, "top": Encoding.JPEG}
    assert MIXED.encoded(Encoding.RAW) == SCHEMA
    assert (MIXED.encoding("wrist"), MIXED.encoding("top")) == (Encoding.PNG, Encoding.RAW)
