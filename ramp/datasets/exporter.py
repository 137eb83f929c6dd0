"""Episodes become a LeRobot v3.0 folder, which appears under its name when it is complete.

Every step is a row; a row without a frame of its own shows the last one again, and meta/ramp_steps.parquet says which
rows those are. States, actions, rewards and times keep every bit; pictures do with `lossless`.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ramp.datasets import stats
from ramp.datasets.columns import SCALARS, camera_key, features, shown, to_table
from ramp.datasets.files import DataFiles, IndexFile, VideoFiles
from ramp.datasets.layout import (
    ACTION,
    CHUNK_FILES,
    DATA,
    DATA_MB,
    INFO,
    STATE,
    STATS,
    TASKS,
    VIDEO,
    VIDEO_MB,
    WRITTEN,
)
from ramp.datasets.sidecars import SidecarWriter
from ramp.errors import Conflict, Invalid
from ramp.replay.labels import Labels
from ramp.types import Episode, StepBatch, StepSchema

SAME_RATE = 0.01  # by which episodes of one dataset may differ in their steps per second
VECTORS = (STATE, ACTION, *SCALARS)


class Exporter:
    """Takes one episode after another; `finish` completes the folder, `abandon` leaves nothing of it."""

    def __init__(
        self, folder: Path, *, fps: float | None = None, lossless: bool = False, label_version: int = 0
    ) -> None:
        """`fps`: steps per second, as the first episode's timestamps say where it is None. Raises Conflict, Invalid."""
        if folder.exists():
            raise Conflict("folder", folder, "it exists; name a new one, or remove it")
        if fps is not None and not 0 < fps <= 10_000:
            raise Invalid("fps", fps, "give the steps per second, above 0")
        self._folder, self._partial = folder, folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(self._partial, ignore_errors=True)
        (self._partial / "meta").mkdir(parents=True)
        self._fps, self._given, self._lossless = fps or 0.0, fps is not None, lossless
        self._schema: StepSchema | None = None
        self._tasks: dict[str, int] = {}
        self._robots: set[str] = set()
        self._episodes = self._steps = self._frames = 0
        self._index = IndexFile(self._partial)
        self._data = DataFiles(self._partial)
        self._videos: dict[str, VideoFiles] = {}
        self._counts: dict[str, np.ndarray] = {}
        self._sidecars = SidecarWriter(self._partial, label_version)

    def add(self, episode: Episode, labels: Labels | None) -> None:
        """Raises Invalid where the episode does not fit to those before it."""
        self._settle(episode)
        number, task = self._episodes, self._tasks.setdefault(episode.header.instruction, len(self._tasks))
        table = to_table(
            episode,
            episode_index=number,
            first=self._steps,
            task_index=task,
            fps=self._fps,
            lossless=self._lossless,
        )
        row = {"episode_index": number, "tasks": [episode.header.instruction], "length": len(episode.steps)}
        row |= {"dataset_from_index": self._steps, "dataset_to_index": self._steps + len(episode.steps)}
        row |= self._data.add(table)
        for camera, files in self._videos.items():
            row |= files.add(episode.steps.images[camera], shown(episode))
        self._index.add(row | self._episode_stats(episode, table))
        self._sidecars.add(number, episode, labels)
        self._robots.add(episode.header.robot)
        self._episodes += 1
        self._steps += len(episode.steps)

    def finish(self) -> Path:
        """The complete folder. Raises Invalid where there is no episode in it."""
        if not self._episodes:
            raise Invalid("episodes", "none", "choose some that have ended")
        self._close()
        self._write_json(INFO, self._info())
        self._write_json(STATS, self._stats())
        self._write_tasks()
        self._partial.rename(self._folder)
        return self._folder

    def abandon(self) -> None:
        self._close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def _close(self) -> None:
        self._data.close()
        self._index.close()
        self._sidecars.close()
        for files in self._videos.values():
            files.close()

    # ----------------------------------------------------------------------------------------- agreeing

    def _settle(self, episode: Episode) -> None:
        """The first episode fixes schema and rate; the others must agree."""
        if self._schema is None:
            self._begin(episode)
        elif episode.header.schema != self._schema:
            theirs = f"{episode.header.schema} of {episode.header.episode_id}"
            raise Invalid("schema", theirs, "a dataset has one schema: export tables one by one, by --table")
        rate = steps_per_second(episode.steps)
        if rate and not self._given and abs(rate - self._fps) > SAME_RATE * self._fps:
            said = f"{rate:g} steps/s in {episode.header.episode_id}, {self._fps:g} before"
            raise Invalid("timestamp", said, "a dataset has one rate: say which by --fps")

    def _begin(self, episode: Episode) -> None:
        schema = episode.header.schema
        for camera, shape in schema.cameras.items():
            if shape[2] != 3:
                raise Invalid(f"schema.cameras.{camera}", shape, "only RGB cameras can be exported")
        if not self._given:
            self._fps = steps_per_second(episode.steps)
        if not self._fps:
            raise Invalid("timestamp", "one step", "a single step has no rate: give --fps")
        self._schema = schema
        self._counts = {camera: np.zeros((3, stats.LEVELS), np.int64) for camera in sorted(schema.cameras)}
        if not self._lossless:
            self._videos = {
                camera: VideoFiles(self._partial, camera_key(camera), self._fps) for camera in sorted(schema.cameras)
            }

    # ------------------------------------------------------------------------------------------ telling

    def _episode_stats(self, episode: Episode, table: pa.Table) -> dict[str, Any]:
        found = {key: stats.of_vectors(_numbers(table[key])) for key in VECTORS}
        frames = len(episode.steps.frame_row)
        for camera, images in episode.steps.images.items():
            counts = stats.histogram(images)
            self._counts[camera] += counts
            found[camera_key(camera)] = stats.of_pictures(counts, frames)
        self._frames += frames
        return {
            f"stats/{key}/{name}": value for key, each in found.items() for name, value in stats.plain(each).items()
        }

    def _stats(self) -> dict[str, Any]:
        data = self._partial / "data"
        found = {}
        for key in VECTORS:  # one column at a time, so that memory holds one
            found[key] = stats.of_vectors(_numbers(pq.read_table(data, columns=[key], partitioning=None)[key]))
        for camera, counts in self._counts.items():
            found[camera_key(camera)] = stats.of_pictures(counts, self._frames)
        return {key: stats.plain(each) for key, each in found.items()}

    def _info(self) -> dict[str, Any]:
        assert self._schema is not None
        fps = int(self._fps) if self._fps.is_integer() else self._fps
        return {
            "codebase_version": WRITTEN,
            "robot_type": self._robots.pop() if len(self._robots) == 1 else None,
            "total_episodes": self._episodes,
            "total_frames": self._steps,
            "total_tasks": len(self._tasks),
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": DATA_MB,
            "video_files_size_in_mb": VIDEO_MB,
            "fps": fps,
            "splits": {"train": f"0:{self._episodes}"},
            "data_path": DATA,
            "video_path": None if self._lossless else VIDEO,
            "features": features(self._schema, fps, lossless=self._lossless),
        }

    def _write_tasks(self) -> None:
        """As pandas writes a frame with one column whose index is the text: that is how LeRobot's library reads it."""
        table = pa.table({"task_index": pa.array(list(self._tasks.values()), pa.int64()), "task": list(self._tasks)})
        about = {"index_columns": ["task"], "column_indexes": [], "columns": [_pandas(each) for each in table.schema]}
        pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(about)}), self._partial / TASKS)

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=4, ensure_ascii=False)
        (self._partial / name).write_text(text + "\n", encoding="utf-8")


def _pandas(column: pa.Field) -> dict[str, Any]:
    kind = "unicode" if pa.types.is_string(column.type) else str(column.type)
    numpy_kind = "object" if pa.types.is_string(column.type) else str(column.type)
    name = column.name
    return {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy_kind, "metadata": None}


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    """[T, W] or [T]"""
    flat = column.combine_chunks()
    rows = len(flat)
    values = flat.flatten() if pa.types.is_fixed_size_list(flat.type) else flat
    return values.to_numpy(zero_copy_only=False).reshape(rows, -1)


def steps_per_second(steps: StepBatch) -> float:
    """From the median time between steps, as a whole number where it is one within a thousandth; 0 for one step."""
    if len(steps) < 2:
        return 0.0
    rate = 1.0 / float(np.median(np.diff(steps.timestamp)))
    return float(round(rate)) if abs(rate - round(rate)) < 1e-3 * rate else round(rate, 6)
