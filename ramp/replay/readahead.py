"""Frames that are about to be read, asked for at once: a page that is missing would be waited for when it is touched,
and then the next one.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterable, Iterator

from ramp.replay.frames import Outline, Places

PIECE = 2**20  # bytes of one request; of a larger one the kernel would take only the beginning
KNOWN_S = 10.0  # for which a piece is taken to stay in memory


class ReadAhead:
    """Thread-safe: two threads may ask for the same piece, which is no harm."""

    def __init__(self) -> None:
        self._asked: set[tuple[str, int]] = set()
        self._forget_at = 0.0  # on the monotonic clock

    def __call__(self, outline: Outline) -> None:
        """Of a batch whose segments are mapped. Returns before the frames are there."""
        now = time.monotonic()
        if now >= self._forget_at:
            self._asked, self._forget_at = set(), now + KNOWN_S
        wanted = {piece for each in (outline.images, outline.future_images) for piece in pieces(each.values())}
        new = wanted - self._asked
        self._asked |= new
        for name, number in new:
            memory: mmap.mmap = outline.sources[name].base.obj
            begin = number * PIECE
            if begin < len(memory):
                memory.madvise(mmap.MADV_WILLNEED, begin, min(PIECE, len(memory) - begin))


def pieces(every: Iterable[Places]) -> Iterator[tuple[str, int]]:
    """Segment and number of every piece in which a frame begins or ends; within a longer one the kernel reads on."""
    for places in every:
        last = (places.offset + places.length - 1) // PIECE
        for ends in (places.offset // PIECE, last):
            numbers = places.segment.reshape(-1).tolist(), ends.reshape(-1).tolist()
            yield from {(places.names[segment], number) for segment, number in zip(*numbers, strict=True)}
