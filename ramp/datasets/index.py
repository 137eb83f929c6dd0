"""Which rows of which files are an episode's: the two layouts, read into one form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ramp.datasets.layout import TASKS, Info, field, inside, wrong
from ramp.errors import Invalid

JSONL_EPISODES, JSONL_TASKS = "meta/episodes.jsonl", "meta/tasks.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one episode lies."""

    index: int
    length: int
    data: Path
    videos: Mapping[str, tuple[Path, float]]  # camera -> file, and the second at which the episode begins in it


def load_places(folder: Path, info: Info) -> list[Place]:
    """All episodes, by index. Raises Invalid with the file, the field and the remedy."""
    places = _single(folder, info) if info.version == "v2.1" else _shared(folder, info)
    places.sort(key=lambda place: place.index)
    if [place.index for place in places] != list(range(len(places))) or len(places) != info.episodes:
        raise wrong("meta/info.json", "total_episodes", info.episodes, f"the index lists {len(places)}; download again")
    return places


def _single(folder: Path, info: Info) -> list[Place]:
    """v2.1: a file an episode."""
    found = []
    for row in _lines(folder, JSONL_EPISODES):
        index = field(row, "episode_index", int, file=JSONL_EPISODES)
        names = {"episode_index": index, "episode_chunk": index // info.chunks_size}
        videos = {
            camera: (inside(folder, info.video_path, video_key=key, **names), 0.0)
            for camera, key in info.cameras.items()
            if info.features[key].dtype == "video"
        }
        length = field(row, "length", int, file=JSONL_EPISODES)
        found.append(Place(index=index, length=length, data=inside(folder, info.data_path, **names), videos=videos))
    return found


def _shared(folder: Path, info: Info) -> list[Place]:
    """v3.0: several episodes a file."""
    found, name = [], "meta/episodes/*/*.parquet"
    files = sorted(folder.glob(name))
    if not files:
        raise Invalid(name, f"no such file in {folder}", "download the whole folder again")
    for path in files:
        shown = str(path.relative_to(folder))
        table = read_parquet(path, shown)
        wanted = [column for column in table.column_names if not column.startswith("stats/")]
        found += [_shared_place(folder, info, row, shown) for row in table.select(wanted).to_pylist()]
    return found


def _shared_place(folder: Path, info: Info, row: Mapping[str, Any], shown: str) -> Place:
    def number(name: str, kind: type = int) -> Any:
        return field(row, name, kind, file=shown)

    videos = {}
    for camera, key in info.cameras.items():
        if info.features[key].dtype == "video":
            names = {name: number(f"videos/{key}/{name}") for name in ("chunk_index", "file_index")}
            path = inside(folder, info.video_path, video_key=key, **names)
            videos[camera] = (path, number(f"videos/{key}/from_timestamp", float))
    names = {name: number(f"data/{name}") for name in ("chunk_index", "file_index")}
    return Place(
        index=number("episode_index"),
        length=number("length"),
        data=inside(folder, info.data_path, **names),
        videos=videos,
    )


def load_tasks(folder: Path, info: Info) -> dict[int, str]:
    """task_index -> instruction. Raises Invalid."""
    if info.version == "v2.1":
        rows = _lines(folder, JSONL_TASKS)
        return {
            field(row, "task_index", int, file=JSONL_TASKS): field(row, "task", str, file=JSONL_TASKS) for row in rows
        }
    table = read_parquet(folder / TASKS, TASKS)
    texts = [each.name for each in table.schema if pa.types.is_string(each.type) or pa.types.is_large_string(each.type)]
    if len(texts) != 1 or "task_index" not in table.column_names:
        raise wrong(TASKS, "columns", table.column_names, "it must have task_index and one text")
    names = ("task_index", texts[0])
    return {number: text or "" for number, text in zip(*(table[name].to_pylist() for name in names), strict=True)}


def _lines(folder: Path, name: str) -> list[dict[str, Any]]:
    try:
        rows = [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        raise Invalid(name, f"{error.strerror} in {folder}", "download the whole folder again") from error
    except (ValueError, RecursionError) as error:
        raise Invalid(name, str(error)[:160], "every line must be JSON; download it again") from error
    if not all(isinstance(row, dict) for row in rows):
        raise Invalid(name, "a line that is no JSON object", "download it again")
    return rows


def read_parquet(path: Path, shown: str, columns: list[str] | None = None, episode: int | None = None) -> pa.Table:
    """Some columns, of one episode or of all. Raises Invalid, which calls the file `shown`."""
    filters = None if episode is None else [("episode_index", "==", episode)]
    try:
        table = pq.read_table(path, columns=columns, filters=filters, partitioning=None)
        table.validate(full=True)
        return table
    except (pa.ArrowException, OSError, KeyError, ValueError, MemoryError) as error:
        raise Invalid(shown, str(error)[:160], "it is missing or damaged; download it again") from error
