"""True messages made false: what a flipped bit, a torn write or somebody with time on his hands does to them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

WORDS = (0, 1, -1, 2, 7, 255, 2**15, 2**16, 2**31 - 1, -(2**31), 2**32, 2**62, 2**63 - 1, -(2**63))
TEXTS = (b"0", b"-1", b"1e999", b"NaN", b"99999999999999999999", b"null", b'"', b"[]", b"{}", b"\xff\xfe", b"../..")


def mutated(data: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """One to four changes, each small; `others` are there to be spliced in."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        _change(found, others, draw)
    return bytes(found)


def _change(data: bytearray, others: Sequence[bytes], draw: random.Random) -> None:
    place = draw.randrange(len(data)) if data else 0
    match draw.randrange(9):
        case 0 | 1 if data:
            data[place] ^= 1 << draw.randrange(8)
        case 2 | 3:
            width = draw.choice((2, 4, 8))
            place -= place % width
            data[place : place + width] = (draw.choice(WORDS) % 2 ** (8 * width)).to_bytes(width, "little")
        case 4:
            del data[place : place + draw.randint(1, 64)]
        case 5:
            data[place:place] = data[place : place + draw.randint(1, 64)]
        case 6:
            other = draw.choice(others)
            begin = draw.randrange(len(other) + 1)
            data[place : place + draw.randint(0, 64)] = other[begin : begin + draw.randint(1, 256)]
        case 7:
            data[place:place] = draw.randbytes(draw.randint(1, 16))
        case _:
            _retell(data, draw)


def _retell(data: bytearray, draw: random.Random) -> None:
    """Another number or word in place of one in the text."""
    words = list(re.finditer(rb'"[^"]*"|[0-9.]+|[a-z_]{2,}', data))
    if words:
        word = draw.choice(words)
        data[word.start() : word.end()] = draw.choice(TEXTS)
