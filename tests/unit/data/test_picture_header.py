"""What is told of a picture from its header alone, and what is refused before a decoder sees it."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ramp.data.images import decode, encode
from ramp.data.picture_header import PictureHeader, max_cell, read_header
from ramp.types import Encoding

NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 4), np.uint8)
JPEG, PNG = encode(NOISE[..., :3], Encoding.JPEG), encode(NOISE[..., :3], Encoding.PNG)


def saved(frame: np.ndarray, form: str, **options: object) -> bytes:
    sink = io.BytesIO()
    Image.fromarray(frame).save(sink, form, **options)
    return sink.getvalue()


def jpeg_of(height: int, width: int) -> bytes:
    place = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:place] + struct.pack(">HH", height, width) + JPEG[place + 4 :]


def png_of(height: int, width: int) -> bytes:
    head = PNG[12:16] + struct.pack(">II", width, height) + PNG[24:29]
    return PNG[:12] + head + struct.pack(">I", zlib.crc32(head)) + PNG[33:]


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_whole_picture_says_its_encoding_and_size(channels: int) -> None:
    frame = NOISE[..., :channels]
    assert read_header(encode(frame, Encoding.PNG)) == PictureHeader(Encoding.PNG, (24, 40, channels))
    if channels in (1, 3):
        assert read_header(encode(frame, Encoding.JPEG, 30)) == PictureHeader(Encoding.JPEG, (24, 40, channels))


def test_a_claim_of_any_size_is_read_and_nothing_allocated_for_it() -> None:
    assert read_header(jpeg_of(60_000, 60_000)).shape == (60_000, 60_000, 3)
    assert read_header(png_of(60_000, 60_000)).shape == (60_000, 60_000, 3)


def palette(png: bytes) -> bytes:
    """The same bytes, said to be numbers of colours."""
    head = png[12:25] + b"\3" + png[26:29]
    return png[:12] + head + struct.pack(">I", zlib.crc32(head)) + png[33:]


FRAME, SCAN = JPEG.index(b"\xff\xc0"), JPEG.index(b"\xff\xda")
REFUSED = {
    "nothing": (b"", "neither a JPEG nor a PNG"),
    "raw pixels": (NOISE.tobytes(), "neither a JPEG nor a PNG"),
    "a bitmap": (saved(NOISE[..., :3], "BMP"), "neither a JPEG nor a PNG"),
    "a JPEG's first half": (JPEG[: len(JPEG) // 2], "cut off"),
    "a JPEG's first bytes": (JPEG[:30], "cut off"),
    "two bytes": (JPEG[:2], "cut off"),
    "a JPEG and more": (JPEG + b"more", "cut off"),
    "a progressive JPEG": (saved(NOISE[..., :3], "JPEG", progressive=True), "not baseline"),
    "a JPEG of two sizes": (JPEG[:SCAN] + JPEG[FRAME:SCAN] + JPEG[SCAN:], "2 frame headers"),
    "a JPEG without a size": (JPEG[:2] + JPEG[SCAN:], "0 frame headers"),
    "a JPEG of two scans": (JPEG[:-2] + JPEG[SCAN:], "several scans"),
    "a JPEG of comments": (JPEG[:2] + b"\xff\xfe\0\2" * 70 + JPEG[2:], "more than 64 segments"),
    "a JPEG with a hole": (JPEG[:2] + b"\0" + JPEG[2:], "cannot be read"),
    "a PNG's first half": (PNG[: len(PNG) // 2], "cut off"),
    "a PNG's first bytes": (PNG[:20], "cut off"),
    "a PNG with a palette": (palette(PNG), "palette"),
    "a PNG of sixteen bits": (saved(NOISE[..., 0].astype(np.uint16), "PNG"), "8 bits"),
    "a PNG whose header was hit": (PNG[:18] + b"\7" + PNG[19:], "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_anything_else_is_refused_with_what_is_wrong(name: str) -> None:
    cell, reason = REFUSED[name]
    with pytest.raises(ValueError, match=reason):
        read_header(cell)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([JPEG, PNG]), st.data())
def test_no_damage_does_more_than_raise(whole: bytes, data: st.DataObject) -> None:
    cell = bytearray(whole)
    for place in data.draw(st.lists(st.integers(0, len(cell) - 1), max_size=6)):
        cell[place] = data.draw(st.integers(0, 255))
    cut = bytes(cell[: data.draw(st.integers(0, len(cell)))])
    for damaged in (bytes(cell), cut):
        for look in (read_header, lambda found: decode(found, (24, 40, 3))):
            with contextlib.suppress(ValueError):
                look(damaged)


def test_noise_fits_as_png_and_as_jpeg_of_high_quality() -> None:
    for side in (8, 64, 224):
        frame = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
        assert len(encode(frame, Encoding.PNG)) <= max_cell(frame.shape, Encoding.PNG)
        assert len(encode(frame, Encoding.JPEG, 95)) <= max_cell(frame.shape, Encoding.JPEG)
    assert max_cell(NOISE.shape, Encoding.RAW) == NOISE.size
