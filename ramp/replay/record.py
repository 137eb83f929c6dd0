"""What a segment is made of: records, what they say of themselves, where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ramp.replay.columns import IMAGE_PREFIX, binary_offsets, frame_rows

KINDS = ("open", "batch", "end", "abort")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What a record says of itself."""

    kind: str
    episode_id: str
    number: int = 0
    note: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a record lies."""

    segment: str  # file name
    offset: int  # bytes
    length: int


class Size(NamedTuple):
    """Of a segment, in bytes."""

    file: int
    records: int  # without what ends it


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a batch of steps brings its episode."""

    steps: int = 0
    frames: int = 0
    timestamp: float = -np.inf  # of its last step, seconds since the episode began


@dataclass(frozen=True, slots=True)
class Record:
    mark: Mark
    position: Position
    extent: Extent


@dataclass(frozen=True, slots=True)
class Seen:
    """A record and its rows, which are views of the mapped file: columns that nobody asks for are never read."""

    mark: Mark
    position: Position
    rows: pa.RecordBatch
    base: int  # address of the file's first byte, for rows that were not copied

    def record(self) -> Record:
        return Record(self.mark, self.position, extent_of(self.rows))


def extent_of(rows: pa.RecordBatch) -> Extent:
    if not rows.num_rows:
        return Extent()
    last = rows.column("timestamp")[rows.num_rows - 1].as_py()
    return Extent(rows.num_rows, int(frame_rows(rows).sum()), last)


def cells(rows: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Where the frames of a batch lie in memory: rows int64 [F], and int64 [F, cameras, 2] of the address at which each
    begins and its bytes, cameras in alphabetic order."""
    shown = np.flatnonzero(frame_rows(rows))
    names = [name for name in rows.schema.names if name.startswith(IMAGE_PREFIX)]
    places = np.empty((len(shown), len(names), 2), np.int64)
    for number, name in enumerate(names if len(shown) else ()):
        column = rows.column(name)
        offsets = binary_offsets(column).astype(np.int64)
        places[:, number, 0] = column.buffers()[2].address + offsets[shown]
        places[:, number, 1] = np.diff(offsets)[shown]
    return shown, places
