"""The segments of a server on this very host, mapped: a learner takes the frames from there, not from a socket."""

from __future__ import annotations

import mmap
import re
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Corrupt
from services.common.host import boot_id

MOST = 256  # maps at the same time: each holds a descriptor
SEGMENT = re.compile(r"\d+(-\d+)?\.arrows")
NONCE_BYTES = 64


def same_files(bulk: wire.Bulk) -> bool:
    """Whether this process sees the files that the server writes: the same kernel, and the nonce where it says."""
    if not bulk.nonce or not bulk.host or bulk.host != boot_id():
        return False
    try:
        with (Path(bulk.directory) / ".nonce").open("rb") as file:
            return file.read(NONCE_BYTES) == bulk.nonce.encode()
    except OSError:
        return False


class SegmentMaps:
    """Called with a segment's name, gives its bytes, uint8 [size]. Thread-safe.

    Good for one life of the server: another one may give a name to other bytes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._maps: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, segment: str) -> np.ndarray:
        """Raises Corrupt for a name that is none, and where the segment was dropped too long ago."""
        with self._lock:
            if segment not in self._maps:
                self._tidy()
                self._maps[segment] = self._mapped(segment)
            self._maps.move_to_end(segment)
            return self._maps[segment]

    def _mapped(self, segment: str) -> np.ndarray:
        if not SEGMENT.fullmatch(segment):
            raise Corrupt(f"{segment[:160]!r} is not the name of a segment")
        for name in (segment, f".{segment}"):  # a dropped one has a dot before its name for a while
            try:
                with (self._directory / name).open("rb") as file:
                    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype=np.uint8)
            except (OSError, ValueError):
                continue
        raise Corrupt(f"segment {segment} cannot be mapped")

    def _tidy(self) -> None:
        """Let go of segments that were dropped, whose bytes the disk wants back, and of the ones least used."""
        for segment in [each for each in self._maps if not (self._directory / each).exists()]:
            del self._maps[segment]
        while len(self._maps) >= MOST:
            self._maps.popitem(last=False)

    def renew(self) -> None:
        """Map segments again that have grown since."""
        with self._lock:
            for segment, data in list(self._maps.items()):
                path = self._directory / segment
                if not path.exists() or path.stat().st_size > len(data):
                    del self._maps[segment]
