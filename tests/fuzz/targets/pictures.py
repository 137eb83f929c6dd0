"""A camera's frame as a stranger sends it: the server reads its header, a learner decodes it."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from ramp.data.images import decode, encode
from ramp.data.picture_header import PNG_BEGIN, max_cell, read_header
from ramp.types import Encoding
from tests.fuzz.target import Target

MOST = 2**16  # bytes of pixels that are decoded here: larger ones are allowed, and take long


class Pictures(Target):
    """Where the first byte is even, the checksum of a PNG's header is made right, so that what it says is believed."""

    def seeds(self) -> list[bytes]:
        random = np.random.default_rng(0)
        frames = [random.integers(0, 256, (9, 7, channels), dtype=np.uint8) for channels in (1, 2, 3, 4)]
        cells = [encode(frame, Encoding.PNG) for frame in frames]
        cells += [encode(frame, Encoding.JPEG) for frame in frames if frame.shape[2] in (1, 3)]
        return [bytes([kind]) + cell for cell in cells for kind in (0, 1)]

    def feed(self, data: bytes) -> None:
        cell = resealed(data[1:]) if data[:1] and data[0] % 2 == 0 else data[1:]
        try:
            header = read_header(cell)
        except ValueError:
            return
        size = int(np.prod(header.shape, dtype=np.float64))
        if size > MOST or len(cell) > max_cell(header.shape, header.encoding):
            return  # the server compares both with the schema before anything else
        try:
            pixels = decode(cell, header.shape)
        except ValueError:
            return
        assert (pixels.shape, pixels.dtype) == (header.shape, np.uint8)


def resealed(cell: bytes) -> bytes:
    begin = len(PNG_BEGIN)
    if not cell.startswith(PNG_BEGIN) or len(cell) < begin + 17:
        return cell
    return cell[: begin + 13] + struct.pack(">I", zlib.crc32(cell[12 : begin + 13])) + cell[begin + 17 :]
