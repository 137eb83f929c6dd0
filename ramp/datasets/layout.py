"""Where things lie in a LeRobot folder, and what its meta/info.json says of itself.

v3.0   data/chunk-000/file-000.parquet           many episodes a file
       videos/KEY/chunk-000/file-000.mp4
       meta/{info.json, stats.json, tasks.parquet, episodes/chunk-000/file-000.parquet}
v2.1   data/chunk-000/episode_000000.parquet     one episode a file
       videos/chunk-000/KEY/episode_000000.mp4
       meta/{info.json, episodes.jsonl, tasks.jsonl, episodes_stats.jsonl}
"""

from __future__ import annotations

import json
import math
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ramp.errors import Invalid

WRITTEN = "v3.0"
READ = ("v2.1", "v3.0")
INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
CHUNK_FILES = 1000  # files in one chunk-* directory
DATA_MB, VIDEO_MB = 100, 200  # size at which the next file is begun

STATE, ACTION = "observation.state", "action"
PICTURES = ("video", "image")
PLACE_FIELDS = {"chunk_index", "file_index", "video_key", "episode_chunk", "episode_index"}
KEY = re.compile(r"[A-Za-z0-9._ -]{1,160}")
DIGITS = re.compile(r"(0\d)?d?")


@dataclass(frozen=True, slots=True)
class Feature:
    """One column, or one camera."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Info:
    """meta/info.json, checked."""

    version: str
    fps: float
    robot: str  # empty: not said
    features: Mapping[str, Feature]
    data_path: str
    video_path: str
    chunks_size: int
    episodes: int

    @property
    def cameras(self) -> dict[str, str]:
        """Camera -> the feature that holds its pictures."""
        keys = [key for key, feature in self.features.items() if feature.dtype in PICTURES]
        return {key.removeprefix("observation.").removeprefix("images."): key for key in keys}


def load_info(folder: Path) -> Info:
    """Raises Invalid with the file, the field and the remedy."""
    raw = load_json(folder, INFO)
    version = field(raw, "codebase_version", str)
    if version not in READ:
        raise wrong(INFO, "codebase_version", version, f"convert the folder to one of {', '.join(READ)} with lerobot")
    fps = field(raw, "fps", float)
    if not (math.isfinite(fps) and fps > 0):
        raise wrong(INFO, "fps", fps, "give the rows per second")
    features = {key: _feature(key, each) for key, each in field(raw, "features", dict).items()}
    return Info(
        version=version,
        fps=fps,
        robot=str(raw.get("robot_type") or ""),
        features=features,
        data_path=_template(raw, "data_path"),
        video_path=_template(raw, "video_path") if any(each.dtype == "video" for each in features.values()) else "",
        chunks_size=max(field(raw, "chunks_size", int), 1),
        episodes=field(raw, "total_episodes", int),
    )


def _feature(key: str, raw: Any) -> Feature:
    if not KEY.fullmatch(key):
        raise wrong(INFO, "features", repr(key[:160]), "name features with letters, digits, spaces, dots, - or _")
    try:
        feature = Feature(str(raw["dtype"]), tuple(int(side) for side in raw["shape"]))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise wrong(INFO, f"features.{key}", str(raw)[:160], "give its dtype and shape") from error
    return Feature(feature.dtype, _sides(key, feature.shape)) if feature.dtype in PICTURES else feature


def _sides(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """(height, width, 3), whichever way round the folder says it."""
    if len(shape) == 3 and shape[2] != 3 and shape[0] == 3:
        shape = (*shape[1:], shape[0])
    if len(shape) != 3 or shape[2] != 3:
        raise wrong(INFO, f"features.{key}.shape", shape, "only RGB pictures can be read: take the feature out")
    return shape


def _template(raw: Mapping[str, Any], name: str) -> str:
    """A path whose parts are numbers and names that we know: whoever wrote the folder is a stranger."""
    text = field(raw, name, str)
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise wrong(INFO, name, text[:160], "close every brace") from error
    for _, place, form, _ in parts:
        if place is not None and (place not in PLACE_FIELDS or not DIGITS.fullmatch(form or "")):
            raise wrong(INFO, name, text[:160], f"use {', '.join(sorted(PLACE_FIELDS))}, as {{chunk_index:03d}}")
    return text


def inside(folder: Path, template: str, **places: object) -> Path:
    """The file that a template names. Raises Invalid where it is missing or lies outside the folder."""
    try:
        name = template.format(**places)
    except (KeyError, ValueError) as error:
        raise wrong(INFO, "data_path or video_path", template[:160], f"{error} is not known here") from error
    path = folder / name
    try:
        outside, there = not path.resolve().is_relative_to(folder.resolve()), path.is_file()
    except (OSError, ValueError) as error:
        raise wrong(INFO, "data_path or video_path", repr(name[:160]), "use names that a disk can have") from error
    if outside:
        raise wrong(INFO, "data_path or video_path", name[:160], "keep files inside the folder")
    if not there:
        raise Invalid(name[:160], "no such file", "download the whole folder again")
    return path


def load_json(folder: Path, name: str) -> dict[str, Any]:
    """Raises Invalid."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(name, f"{error.strerror} in {folder}", "give the folder that holds meta/ and data/") from error
    except (ValueError, RecursionError) as error:
        raise Invalid(name, str(error)[:160], "it must be JSON; download it again") from error
    if not isinstance(found, dict):
        raise Invalid(name, type(found).__name__, "it must be a JSON object; download it again")
    return found


def field(raw: Mapping[str, Any], name: str, kind: type, *, file: str = INFO) -> Any:
    """`raw[name]` as a `kind`. Raises Invalid."""
    value = raw.get(name)
    if kind is float and isinstance(value, int) and abs(value) < 2**53:
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise wrong(file, name, repr(value)[:160], f"it must be a {kind.__name__}")
    return value


def wrong(file: str, name: str, value: object, remedy: str) -> Invalid:
    """What is wrong with one field of one file."""
    return Invalid(f"{file}, {name}", value, remedy)
