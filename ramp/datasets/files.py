"""Files that grow with the episodes: parquet of the data and mp4 of each camera, one after another, and the index."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ramp.datasets.layout import CHUNK_FILES, DATA, DATA_MB, EPISODES, VIDEO, VIDEO_MB
from ramp.datasets.pictures import VideoWriter

MIB = 2**20
INDEX_ROWS = 256  # in memory
VIDEO_S = 600.0  # LeRobot looks frames up by float32 seconds, to within 0.1 ms: beyond some 1,000 s they are too coarse


def place(number: int, prefix: str = "") -> dict[str, int]:
    """Chunk and file of the file with this number, as columns of the index with their prefix."""
    return {f"{prefix}chunk_index": number // CHUNK_FILES, f"{prefix}file_index": number % CHUNK_FILES}


class DataFiles:
    """data/: an episode is one row group."""

    def __init__(self, folder: Path, megabytes: int = DATA_MB) -> None:
        self._folder, self._bytes = folder, megabytes * MIB
        self._number = -1
        self._writer: pq.ParquetWriter | None = None
        self._path = folder

    def add(self, table: pa.Table) -> dict[str, int]:
        """Where it went, as the index says it."""
        if self._writer is None or self._path.stat().st_size >= self._bytes:
            self._next(table.schema)
        assert self._writer is not None
        self._writer.write_table(table, row_group_size=table.num_rows)
        return place(self._number, "data/")

    def _next(self, schema: pa.Schema) -> None:
        self.close()
        self._number += 1
        self._path = self._folder / DATA.format(**place(self._number))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._path, schema)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class IndexFile:
    """meta/episodes: a row an episode, written some at a time."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / EPISODES.format(**place(0))
        self._rows: list[dict[str, Any]] = []
        self._writer: pq.ParquetWriter | None = None

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row | place(0, "meta/episodes/"))
        if len(self._rows) == INDEX_ROWS:
            self._flush()

    def _flush(self) -> None:
        table = pa.Table.from_pylist(self._rows)
        if self._writer is None:
            self._path.parent.mkdir(parents=True)
            self._writer = pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)
        self._rows = []

    def close(self) -> None:
        if self._rows:
            self._flush()
        if self._writer is not None:
            self._writer.close()


class VideoFiles:
    """videos/KEY: episodes one behind the other."""

    def __init__(self, folder: Path, key: str, fps: float, megabytes: int = VIDEO_MB) -> None:
        self._folder, self._key, self._fps, self._bytes = folder, key, fps, megabytes * MIB
        self._number = -1
        self._writer: VideoWriter | None = None

    def add(self, frames: np.ndarray, shown: np.ndarray) -> dict[str, float]:
        """Row t [T] shows frames[shown[t]]. Where they went, as the index says it."""
        writer = self._writer
        if writer is None or writer.path.stat().st_size >= self._bytes or writer.frames >= VIDEO_S * self._fps:
            writer = self._next(*frames.shape[1:3])
        begin = writer.frames
        for row, frame in enumerate(shown):
            writer.add(frames[frame], first=row == 0)
        prefix = f"videos/{self._key}/"
        times = {f"{prefix}from_timestamp": begin / self._fps, f"{prefix}to_timestamp": writer.frames / self._fps}
        return place(self._number, prefix) | times

    def _next(self, height: int, width: int) -> VideoWriter:
        self.close()
        self._number += 1
        path = self._folder / VIDEO.format(video_key=self._key, **place(self._number))
        path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = VideoWriter(path, self._fps, height, width)
        return self._writer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
