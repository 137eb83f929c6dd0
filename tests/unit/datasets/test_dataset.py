"""Folders of strangers, written by hand: what they say is taken, what they do not say asked for, the rest refused."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramp.datasets.dataset import Dataset, Reading
from ramp.errors import Invalid
from ramp.types import Outcome, Source
from tests.unit.datasets.made import KEY, LENGTHS, SHAPE, TASKS, by_hand, picture, state

BOTH = pytest.mark.parametrize("version", ["v2.1", "v3.0"])
SUCCESS = Reading(outcome="success")


def episodes(folder: Path, reading: Reading = SUCCESS) -> list[Any]:
    dataset = Dataset(folder, reading)
    return [dataset.episode(place) for place in dataset.places]


@BOTH
@pytest.mark.parametrize("image", [False, True], ids=["video", "image"])
def test_both_layouts_say_the_same(tmp_path: Path, version: str, image: bool) -> None:
    first, second = episodes(by_hand(tmp_path / "arm", version, image=image))

    assert [len(first.steps), len(second.steps)] == list(LENGTHS)
    assert [first.header.instruction, second.header.instruction] == list(TASKS.values())
    assert (first.header.task, second.header.task) == ("lift the cube", "push the cube-")
    assert (second.header.episode_id, second.header.robot, second.header.max_steps) == ("arm-000001", "so100", 7)
    assert second.steps.proprio.tolist() == np.float32([state(row) for row in range(5, 12)]).tolist()
    assert second.steps.action[:, 0].tolist() == np.float32(np.arange(5, 12) / 12).tolist()
    assert second.steps.timestamp.tolist() == np.float32(np.arange(7) / 10).astype(float).tolist()
    assert set(second.steps.source) == {Source.DEMO}
    wanted = np.stack([picture(row, SHAPE) for row in range(5, 12)])
    error = np.abs(second.steps.images["front"].astype(int) - wanted).mean()
    assert error == 0 if image else error < 3


@BOTH
def test_a_stride_keeps_every_so_many_frames(tmp_path: Path, version: str) -> None:
    _, second = episodes(by_hand(tmp_path / "arm", version), Reading(outcome="failure", stride=3))

    assert second.steps.frame_row.tolist() == [0, 3, 6]
    wanted = np.stack([picture(row, SHAPE) for row in (5, 8, 11)])
    assert np.abs(second.steps.images["front"].astype(int) - wanted).mean() < 3
    assert second.outcome is Outcome.FAILURE


def test_what_the_reader_says_goes_before_what_the_folder_says(tmp_path: Path) -> None:
    reading = Reading(outcome="success", task="cubes", table="online", max_steps=50)
    header = episodes(by_hand(tmp_path / "arm", "v3.0"), reading)[1].header

    assert (header.task, header.tables, header.max_steps) == ("cubes", ("online",), 50)


def test_bounds_are_the_range_of_the_data(tmp_path: Path) -> None:
    schema = Dataset(by_hand(tmp_path / "arm", "v3.0"), SUCCESS).schema

    assert (schema.action_low, schema.action_high) == ((0.0,), (float(np.float32(11 / 12)),))


def outcomes(folder: Path, reading: Reading) -> list[str]:
    return [str(episode.outcome) for episode in episodes(folder, reading)]


def test_success_is_what_the_rows_say(tmp_path: Path) -> None:
    success = np.arange(12) == 3  # reached, and left again
    assert outcomes(by_hand(tmp_path / "a", "v3.0", **{"next.success": success}), Reading()) == ["success", "failure"]
    done = np.arange(12) == 11
    folder = by_hand(tmp_path / "b", "v2.1", **{"next.done": done})
    assert outcomes(folder, Reading(outcome="done")) == ["failure", "success"]


def test_an_unknown_outcome_is_asked_for(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "arm", "v3.0")

    with pytest.raises(Invalid, match=r"meta/info.json, features: no next.success.*--outcome"):
        episodes(folder, Reading())
    with pytest.raises(Invalid, match=r"no next\.done"):
        episodes(folder, Reading(outcome="done"))


def test_sides_may_be_said_channels_first(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "arm", "v3.0", image=True)
    set_feature(KEY, {"dtype": "image", "shape": [3, 16, 24], "names": ["channels", "height", "width"]})(folder)

    assert episodes(folder)[0].header.schema.cameras == {"front": SHAPE}


def test_takeovers_that_others_recorded_are_kept(tmp_path: Path) -> None:
    human = np.arange(12) >= 10
    folder = by_hand(tmp_path / "arm", "v3.0", **{"complementary_info.is_intervention": human})

    assert episodes(folder)[1].steps.source.tolist() == [0, 0, 0, 0, 0, 1, 1]


def test_numbers_of_another_kind_are_refused_or_rounded(tmp_path: Path) -> None:
    wide = np.arange(12) / 3
    folder = by_hand(tmp_path / "arm", "v3.0", action=wide)

    with pytest.raises(Invalid, match=r"action: (float64|double); .*--cast"):
        episodes(folder)
    found = episodes(folder, Reading(outcome="success", cast=True))
    assert found[0].steps.action[:, 0].tolist() == np.float32(wide[:5]).tolist()


@BOTH
def test_a_folder_is_described_with_the_quantiles_it_lacks(tmp_path: Path, version: str) -> None:
    folder = by_hand(tmp_path / "arm", version, **{"observation.effort": np.zeros(12, np.float32)})
    if version == "v3.0":
        stats = {"action": {"min": [-5.0], "max": [5.0], "mean": [0.5], "std": [0.1], "count": [12], "q01": "low"}}
        (folder / "meta/stats.json").write_text(json.dumps(stats))

    found = Dataset(folder).describe()

    assert (found["episodes"], found["steps"], found["cameras"]) == (2, 12, {"front": list(SHAPE)})
    assert found["tasks"] == {"lift the cube": 1, "push the cube!": 1}
    assert found["left_out"] == ["observation.effort"]
    assert found["stats"]["action"]["q01"] == pytest.approx([np.quantile(np.arange(12) / 12, 0.01)], rel=1e-6)
    assert found["stats"]["action"]["q99"] == pytest.approx([np.quantile(np.arange(12) / 12, 0.99)], rel=1e-6)
    assert found["stats"]["action"]["min"] == ([-5.0] if version == "v3.0" else [0.0])  # what it says, it says
    assert found["stats"]["observation.state"]["count"] == [12]


# -------------------------------------------------------------------------------------- malformed


def set_info(**fields: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "meta/info.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return change


def set_feature(key: str, feature: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "meta/info.json"
        info = json.loads(path.read_text())
        info["features"].pop(key, None)
        info["features"] |= {key: feature} if feature else {}
        path.write_text(json.dumps(info))

    return change


def set_column(name: str, values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "data/chunk-000/file-000.parquet"
        table = pq.read_table(path)
        at = table.column_names.index(name)
        pq.write_table(table.set_column(at, name, pa.array(values)), path)

    return change


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def overwrite(name: str, text: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove("meta/info.json"), r"meta/info.json: No such file.*give the folder that holds meta/"),
        (overwrite("meta/info.json", "{"), r"meta/info.json: .*must be JSON"),
        (overwrite("meta/info.json", "[]"), r"meta/info.json: list"),
        (set_info(codebase_version="v1.6"), r"codebase_version: v1.6; convert"),
        (set_info(fps=0), r"fps: 0.0"),
        (set_info(fps="ten"), r"fps: 'ten'; it must be a float"),
        (set_info(total_episodes=3), r"total_episodes: 3; the index lists 2"),
        (set_info(data_path="../{chunk_index:03d}.parquet"), r"keep files inside the folder"),
        (set_info(data_path="{chunk_index.__class__}"), r"data_path: .*use chunk_index"),
        (set_info(data_path="{chunk_index:09999999d}"), r"data_path: .*use chunk_index"),
        (set_info(data_path="data/chunk-{chunk_index:03d}/other.parquet"), r"chunk-000/other.parquet: no such file"),
        (set_feature("action", None), r"features: no action; it has .*observation.state"),
        (set_feature(KEY, None), r"features: no camera"),
        (set_feature(KEY, {"dtype": "video", "shape": [16, 24, 1]}), r"shape: \(16, 24, 1\); only RGB"),
        (set_feature(KEY, {"dtype": "video", "shape": [12, 24, 3]}), r"\(16, 24, 3\) of episode 0; info.json says"),
        (set_feature("../up", {"dtype": "video", "shape": [16, 24, 3]}), r"features: '../up'"),
        (set_feature("action", {"dtype": "float32", "shape": [4]}), r"action: 1 numbers a row; info.json says 4"),
        (remove("meta/tasks.parquet"), r"meta/tasks.parquet: .*download"),
        (overwrite("data/chunk-000/file-000.parquet", "PAR1"), r"file-000.parquet: .*damaged"),
        (overwrite(f"videos/{KEY}/chunk-000/file-000.mp4", "mp4"), r"file-000.mp4: .*cannot be decoded"),
        (set_column("frame_index", list(range(12))), r"frame_index: episode 1; it must count from 0 to 6"),
        (set_column("episode_index", [0] * 12), r"12 rows of episode 0, not 5"),
        (set_column("task_index", [0, 1] * 6), r"task_index: 2 in episode 0; split"),
        (set_column("task_index", [7] * 12), r"task_index: 7; the folder's tasks are \[0, 1\]"),
        (set_column("action", [None] + [0.0] * 11), r"action: null"),
        (set_column("action", ["much"] * 12), r"action: string; every row must have numbers"),
    ],
)
def test_a_malformed_folder_is_refused_with_file_field_and_remedy(
    tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    folder = by_hand(tmp_path / "arm", "v3.0")
    change(folder)

    with pytest.raises(Invalid, match=said):
        episodes(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove("meta/episodes.jsonl"), r"meta/episodes.jsonl: No such file"),
        (overwrite("meta/episodes.jsonl", "{}\n"), r"meta/episodes.jsonl, episode_index: None; it must be a int"),
        (overwrite("meta/tasks.jsonl", "[]\n"), r"meta/tasks.jsonl: a line that is no JSON object"),
        (remove("data/chunk-000/episode_000001.parquet"), r"episode_000001.parquet: no such file"),
        (remove(f"videos/chunk-000/{KEY}/episode_000000.mp4"), r"episode_000000.mp4: no such file"),
    ],
)
def test_a_malformed_folder_of_the_older_layout_is_refused_too(
    tmp_path: Path, change: Callable[[Path], None], said: str
) -> None:
    folder = by_hand(tmp_path / "arm", "v2.1")
    change(folder)

    with pytest.raises(Invalid, match=said):
        episodes(folder)


def test_a_video_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "arm", "v2.1")
    videos = folder / f"videos/chunk-000/{KEY}"
    (videos / "episode_000001.mp4").write_bytes((videos / "episode_000000.mp4").read_bytes())

    with pytest.raises(Invalid, match=r"no frame at 0\.500 s"):
        episodes(folder)


def test_sidecars_that_do_not_belong_to_the_data_are_refused(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "arm", "v3.0")
    where = {"episode_index": np.zeros(5, np.int64), "frame_index": np.arange(5)}
    steps = pa.table(
        {**where, "time": np.arange(5.0), "policy_version": np.zeros(5, np.int32), "has_frame": [True] * 5}
    )
    pq.write_table(steps, folder / "meta/ramp_steps.parquet")

    with pytest.raises(Invalid, match=r"ramp_steps.parquet, episode_index: 0 rows of episode 1, not 7; remove"):
        episodes(folder)


# ------------------------------------------------------------------------------------------ fuzzing

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
INFO_KEYS = (
    "codebase_version",
    "fps",
    "robot_type",
    "features",
    "chunks_size",
    "total_episodes",
    "data_path",
    "video_path",
)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pristine")
    return {version: by_hand(folder / version, version) for version in ("v2.1", "v3.0")}


def read_or_refuse(folder: Path) -> None:
    """Anything but a result or a refusal fails the test."""
    with contextlib.suppress(Invalid):
        episodes(folder)
    with contextlib.suppress(Invalid):
        Dataset(folder).describe()


@given(data=st.data(), key=st.sampled_from(INFO_KEYS), value=JSON)
@settings(max_examples=60)
def test_any_field_of_info_is_read_or_refused(pristine: dict[str, Path], data: Any, key: str, value: Any) -> None:
    source = pristine[data.draw(st.sampled_from(["v2.1", "v3.0"]))]
    info = json.loads((source / "meta/info.json").read_text())
    if key == "features":
        info["features"][data.draw(st.sampled_from(["action", KEY, "observation.state"]))] = value
    else:
        info[key] = value
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(source, Path(place) / "arm"))
        (folder / "meta/info.json").write_text(json.dumps(info))
        read_or_refuse(folder)


@given(data=st.data())
@settings(max_examples=120)
def test_any_damaged_byte_is_read_or_refused(pristine: dict[str, Path], data: Any) -> None:
    source = pristine[data.draw(st.sampled_from(["v2.1", "v3.0"]))]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(shutil.copytree(source, Path(place) / "arm"))
        path = data.draw(st.sampled_from(sorted(each for each in folder.rglob("*") if each.is_file())))
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        length = data.draw(st.integers(1, 16))
        content[at : at + length] = data.draw(st.binary(min_size=0, max_size=16))
        path.write_bytes(bytes(content))
        read_or_refuse(folder)
