"""What a JPEG or PNG says of itself. No pixel is decoded, so that a server can look at what strangers send.

Accepted are pictures whose cost to decode follows from their size: baseline JPEGs of one scan (a progressive one of a
few kilobytes may ask for hours), and PNGs of 8 bits a channel, not interlaced, without a palette.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ramp.types import Encoding

PNG_BEGIN, PNG_END = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\0\0\0\0IEND\xaeB`\x82"
PNG_CHANNELS = {0: 1, 4: 2, 2: 3, 6: 4}  # colour type -> channels; 3, a palette, is not accepted
JPEG_BEGIN, JPEG_END = b"\xff\xd8", b"\xff\xd9"
BASELINE, SCAN, TABLES = (0xC0, 0xC1), 0xDA, (0xC4, 0xC8, 0xCC)  # what is accepted, and what is no frame header at all
MAX_SEGMENTS = 64  # before the pixels of a JPEG; cameras write about ten


def max_cell(shape: Sequence[int], encoding: Encoding) -> int:
    """Bytes that a frame may take. A picture longer than its pixels helps nobody; a PNG of noise is so by a little."""
    pixels = int(np.prod(shape))
    return pixels if encoding is Encoding.RAW else pixels + pixels // 64 + 4096


@dataclass(frozen=True, slots=True)
class PictureHeader:
    encoding: Encoding
    shape: tuple[int, int, int]  # height, width, channels


def read_header(cell: bytes) -> PictureHeader:
    """Raises ValueError, which says what is wrong, for anything but a whole picture of an accepted kind."""
    try:
        if cell.startswith(PNG_BEGIN):
            return PictureHeader(Encoding.PNG, _png(cell))
        if cell.startswith(JPEG_BEGIN):
            return PictureHeader(Encoding.JPEG, _jpeg(cell))
    except struct.error as error:
        raise ValueError("a picture that is cut off") from error
    raise ValueError(f"{len(cell)} bytes that are neither a JPEG nor a PNG")


def _png(cell: bytes) -> tuple[int, int, int]:
    width, height, depth, colour, *methods, said = struct.unpack_from(">2I5BI", cell, len(PNG_BEGIN))
    if said != zlib.crc32(cell[12:29]):
        raise ValueError("a PNG whose header is damaged")
    if depth != 8 or colour not in PNG_CHANNELS or any(methods):
        raise ValueError("a PNG with a palette, interlaced, or not of 8 bits a channel")
    if not cell.endswith(PNG_END):
        raise ValueError("a PNG that is cut off")
    return height, width, PNG_CHANNELS[colour]


def _jpeg(cell: bytes) -> tuple[int, int, int]:
    frames, scan = _walk(cell)
    if len(frames) != 1:
        raise ValueError(f"a JPEG with {len(frames)} frame headers")
    if cell.find(bytes([0xFF, SCAN]), scan + 2) >= 0:
        raise ValueError("a JPEG of several scans")
    if not cell.endswith(JPEG_END):
        raise ValueError("a JPEG that is cut off")
    depth, height, width, channels = struct.unpack_from(">BHHB", cell, frames[0])
    if depth != 8:
        raise ValueError(f"a JPEG of {depth} bits a channel")
    return height, width, channels


def _walk(cell: bytes) -> tuple[list[int], int]:
    """Where the content of its frame headers begins, and its first scan."""
    frames: list[int] = []
    place = len(JPEG_BEGIN)
    for _ in range(MAX_SEGMENTS):
        mark, kind, size = struct.unpack_from(">BBH", cell, place)
        if mark != 0xFF or size < 2:
            raise ValueError("a JPEG that cannot be read")
        if kind == SCAN:
            return frames, place
        if kind in BASELINE:
            frames.append(place + 4)
        elif 0xC0 <= kind <= 0xCF and kind not in TABLES:
            raise ValueError("a JPEG that is not baseline")
        place += 2 + size
    raise ValueError(f"a JPEG with more than {MAX_SEGMENTS} segments before its pixels")
