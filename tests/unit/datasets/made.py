"""Episodes with pictures that a codec can live with, and folders written by hand in both layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ramp.datasets.pictures import VideoWriter, to_png
from ramp.replay.labels import Labels
from ramp.types import Episode, EpisodeHeader, Outcome, Source, StepBatch, StepSchema

HZ = 20.0
SCHEMA = StepSchema(
    cameras={"top": (32, 48, 3), "wrist": (24, 24, 3)},
    proprio_width=3,
    action_low=(-1.0, -2.0),
    action_high=(1.0, 2.0),
)


def picture(step: int, shape: tuple[int, ...]) -> np.ndarray:
    """A smooth scene whose brightness says the step."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    scene = 60 + 2.0 * step + 40 * np.sin(x / 9) + 30 * np.cos(y / 7)
    return np.stack([scene, scene * 0.8, 255 - scene], axis=-1).clip(0, 255).astype(np.uint8)


def make_episode(
    number: int = 0, *, length: int = 11, stride: int = 4, first: int = 0, schema: StepSchema = SCHEMA
) -> Episode:
    """Numbers are random, so that no two bits agree by chance; frames at first, first + stride ..."""
    draws = np.random.default_rng(number)
    rows = np.arange(first, length, stride, dtype=np.int32)
    low, high = np.asarray(schema.action_low), np.asarray(schema.action_high)
    steps = StepBatch(
        step=np.arange(length, dtype=np.int32),
        timestamp=np.arange(length) / HZ,
        proprio=draws.normal(size=(length, schema.proprio_width)).astype(np.float32),
        action=draws.uniform(low, high, size=(length, schema.action_width)).astype(np.float32),
        reward=draws.normal(size=length).astype(np.float32),
        source=draws.choice([Source.POLICY, Source.HUMAN, Source.DEMO], size=length).astype(np.uint8),
        trainable=draws.random(length) < 0.8,
        policy_version=np.full(length, 3 + number, np.int32),
        frame_row=rows,
        images={name: np.stack([picture(row, shape) for row in rows]) for name, shape in schema.cameras.items()},
    )
    header = EpisodeHeader(
        episode_id=f"made-{number}",
        task=f"task-{number % 2}",
        instruction=f"do the {number % 2}",
        robot="arm",
        seed=100 + number,
        max_steps=200,
        tables=("demos",) if number % 2 else ("online",),
        schema=schema,
    )
    return Episode(header=header, steps=steps, outcome=Outcome.SUCCESS if number % 2 else Outcome.FAILURE)


def make_labels(episode: Episode) -> Labels:
    frames = len(episode.steps.frame_row)
    draws = np.random.default_rng(frames).normal(size=(2, frames)).astype(np.float32)
    return Labels(value=draws[0], advantage=draws[1], indicator=np.arange(frames, dtype=np.int8) % 2)


# ------------------------------------------------------------------------------------------ by hand

LENGTHS = (5, 7)
KEY = "observation.images.front"
SHAPE = (16, 24, 3)
TASKS = {0: "lift the cube", 1: "push the cube!"}


def by_hand(folder: Path, version: str, *, image: bool = False, **extra: Any) -> Path:
    """Two episodes of 5 and 7 rows at 10 rows/s with one camera. `extra`: columns laid over the data, name -> values of
    12 rows, one number each unless they take the place of a column."""
    table = _rows(image=image, **extra)
    features = {
        "observation.state": {"dtype": "float32", "shape": [2], "names": ["x", "y"]},
        "action": {"dtype": "float32", "shape": [1], "names": ["push"]},
        KEY: {"dtype": "image" if image else "video", "shape": list(SHAPE), "names": ["height", "width", "channel"]},
    }
    features = {name: {"dtype": str(np.asarray(each).dtype), "shape": [1]} for name, each in extra.items()} | features
    info = {"codebase_version": version, "robot_type": "so100", "fps": 10, "features": features, "chunks_size": 1000}
    info |= {"total_episodes": 2, "total_frames": 12, "total_tasks": 2, "splits": {"train": "0:2"}}
    (folder / "meta").mkdir(parents=True)
    (_single if version == "v2.1" else _shared)(folder, info, table, image=image)
    return folder


def state(row: int) -> list[float]:
    return [row / 10, -row / 7]


def _rows(*, image: bool, **extra: Any) -> pa.Table:
    episode = np.repeat([0, 1], LENGTHS)
    frame = np.concatenate([np.arange(length) for length in LENGTHS])
    columns: dict[str, Any] = {
        "observation.state": pa.array([state(row) for row in range(12)], pa.list_(pa.float32())),
        "action": pa.array(np.arange(12) / 12, pa.float32()),
        "timestamp": pa.array(frame / 10, pa.float32()),
        "frame_index": frame,
        "episode_index": episode,
        "index": np.arange(12),
        "task_index": episode,
    }
    if image:
        columns[KEY] = [{"bytes": to_png(picture(row, SHAPE)), "path": "x.png"} for row in range(12)]
    return pa.table(columns | extra)


def _single(folder: Path, info: dict[str, Any], table: pa.Table, *, image: bool) -> None:
    info["data_path"] = "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet"
    info["video_path"] = "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4"
    begin = 0
    for index, length in enumerate(LENGTHS):
        path = folder / f"data/chunk-000/episode_{index:06d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.slice(begin, length), path)
        if not image:
            _video(folder / f"videos/chunk-000/{KEY}/episode_{index:06d}.mp4", range(begin, begin + length))
        begin += length
    episodes = [
        {"episode_index": index, "tasks": [TASKS[index]], "length": length} for index, length in enumerate(LENGTHS)
    ]
    tasks = [{"task_index": index, "task": task} for index, task in TASKS.items()]
    for name, rows in (("episodes", episodes), ("tasks", tasks)):
        (folder / f"meta/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "meta/info.json").write_text(json.dumps(info))


def _shared(folder: Path, info: dict[str, Any], table: pa.Table, *, image: bool) -> None:
    info["data_path"] = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
    info["video_path"] = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    rows = []
    for index, length in enumerate(LENGTHS):
        begin = sum(LENGTHS[:index])
        row = {"episode_index": index, "tasks": [TASKS[index]], "length": length}
        row |= {"data/chunk_index": 0, "data/file_index": 0}
        row |= {"dataset_from_index": begin, "dataset_to_index": begin + length}
        if not image:
            row |= {f"videos/{KEY}/chunk_index": 0, f"videos/{KEY}/file_index": 0}
            row |= {f"videos/{KEY}/from_timestamp": begin / 10, f"videos/{KEY}/to_timestamp": (begin + length) / 10}
        rows.append(row)
    for name, content in (
        ("data/chunk-000/file-000.parquet", table),
        ("meta/episodes/chunk-000/file-000.parquet", pa.Table.from_pylist(rows)),
        ("meta/tasks.parquet", pa.table({"task_index": list(TASKS), "__index_level_0__": list(TASKS.values())})),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(content, folder / name)
    if not image:
        _video(folder / f"videos/{KEY}/chunk-000/file-000.mp4", range(12))
    (folder / "meta/info.json").write_text(json.dumps(info))


def _video(path: Path, steps: range) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = VideoWriter(path, 10, *SHAPE[:2])
    for step in steps:
        writer.add(picture(step, SHAPE), first=step == steps[0])
    writer.close()
