"""What was exported comes back: every bit of the numbers, and of the pictures where that was asked for."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ramp.datasets import exporter as exporting
from ramp.datasets.dataset import Dataset
from ramp.datasets.exporter import Exporter, steps_per_second
from ramp.datasets.files import DataFiles, VideoFiles
from ramp.datasets.pictures import read_video
from ramp.errors import Conflict, Invalid
from ramp.types import Episode, StepBatch, StepSchema
from tests.unit.datasets.made import HZ, SCHEMA, make_episode, make_labels

EPISODES = [make_episode(0), make_episode(1, length=6), make_episode(2, length=9, first=2), make_episode(3, stride=1)]
MEAN_ERROR = 3.0  # of 255, of these smooth pictures as video


def export(folder: Path, episodes: list[Episode], *, lossless: bool = False) -> Path:
    exporter = Exporter(folder, lossless=lossless, label_version=4)
    for number, episode in enumerate(episodes):
        exporter.add(episode, make_labels(episode) if number else None)
    return exporter.finish()


def read(folder: Path) -> list[Episode]:
    dataset = Dataset(folder)
    return [dataset.episode(place) for place in dataset.places]


@pytest.fixture(scope="module")
def as_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("video") / "made", EPISODES)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("exact") / "made", EPISODES, lossless=True)


def same_numbers(ours: StepBatch, theirs: StepBatch) -> None:
    for field in fields(StepBatch):
        if field.name != "images":
            mine, yours = getattr(ours, field.name), getattr(theirs, field.name)
            if mine is None or yours is None:
                assert mine is yours, field.name
                continue
            assert mine.dtype == yours.dtype, field.name
            assert mine.tobytes() == yours.tobytes(), field.name


@pytest.mark.parametrize("lossless", [False, True])
def test_headers_outcomes_and_numbers_come_back_bit_for_bit(as_video: Path, exact: Path, lossless: bool) -> None:
    found = read(exact if lossless else as_video)

    assert [episode.header for episode in found] == [episode.header for episode in EPISODES]
    assert [episode.outcome for episode in found] == [episode.outcome for episode in EPISODES]
    for ours, theirs in zip(EPISODES, found, strict=True):
        same_numbers(ours.steps, theirs.steps)


def test_pictures_come_back_bit_for_bit_where_that_was_asked_for(exact: Path) -> None:
    for ours, theirs in zip(EPISODES, read(exact), strict=True):
        for camera, frames in ours.steps.images.items():
            np.testing.assert_array_equal(frames, theirs.steps.images[camera])


def test_pictures_come_back_nearly_from_video(as_video: Path) -> None:
    for ours, theirs in zip(EPISODES, read(as_video), strict=True):
        for camera, frames in ours.steps.images.items():
            error = np.abs(frames.astype(int) - theirs.steps.images[camera])
            assert error.mean() < MEAN_ERROR


def test_odd_sides_keep_their_size(tmp_path: Path) -> None:
    schema = StepSchema(cameras={"odd": (17, 21, 3)}, proprio_width=1, action_low=(-1.0,), action_high=(1.0,))
    ours = make_episode(schema=schema)

    [theirs] = read(export(tmp_path / "odd", [ours]))

    same_numbers(ours.steps, theirs.steps)  # of width 1, which the format writes as plain numbers
    assert np.abs(ours.steps.images["odd"].astype(int) - theirs.steps.images["odd"]).mean() < MEAN_ERROR


def test_a_row_without_a_frame_shows_the_last_one(as_video: Path) -> None:
    table = pq.read_table(as_video / "meta/ramp_steps.parquet").to_pylist()
    has_frame = [row["has_frame"] for row in table if row["episode_index"] == 2]
    video = Dataset(as_video)
    rows = np.arange(9)

    path, begin = video.places[2].videos["top"]
    frames = read_video(path, begin, HZ, rows)

    assert np.flatnonzero(has_frame).tolist() == [2, 6]
    held = [0 if row < 6 else 1 for row in rows]
    wanted = EPISODES[2].steps.images["top"][held]
    assert np.abs(frames.astype(int) - wanted).mean() < MEAN_ERROR


def test_advantages_lie_beside_the_data(as_video: Path) -> None:
    rows = pq.read_table(as_video / "meta/advantages_v4.parquet").to_pylist()
    labels = make_labels(EPISODES[1])

    mine = [row for row in rows if row["episode_index"] == 1]
    assert [row["frame_index"] for row in mine] == EPISODES[1].steps.frame_row.tolist()
    assert np.float32([row["advantage"] for row in mine]).tobytes() == labels.advantage.tobytes()
    assert [row["indicator"] for row in mine] == labels.indicator.tolist()
    assert not [row for row in rows if row["episode_index"] == 0]  # it has no labels


def test_statistics_are_those_of_the_data(as_video: Path) -> None:
    stats = json.loads((as_video / "meta/stats.json").read_text())
    action = np.concatenate([episode.steps.action for episode in EPISODES]).astype(np.float64)
    top = np.concatenate([episode.steps.images["top"] for episode in EPISODES]) / 255

    assert stats["action"]["q01"] == pytest.approx(np.quantile(action, 0.01, axis=0).tolist())
    assert stats["action"]["q99"] == pytest.approx(np.quantile(action, 0.99, axis=0).tolist())
    assert stats["action"]["count"] == [len(action)]
    picture = stats["observation.images.top"]
    assert np.ravel(picture["mean"]) == pytest.approx(top.mean(axis=(0, 1, 2)))
    assert np.ravel(picture["std"]) == pytest.approx(top.std(axis=(0, 1, 2)))
    assert np.ravel(picture["q99"]) == pytest.approx(
        np.quantile(top.reshape(-1, 3), 0.99, axis=0, method="inverted_cdf")
    )
    assert np.shape(picture["min"]) == (3, 1, 1)


def test_the_index_names_rows_and_seconds_without_a_gap(as_video: Path) -> None:
    rows = pq.read_table(as_video / "meta/episodes/chunk-000/file-000.parquet").to_pylist()

    assert [row["length"] for row in rows] == [11, 6, 9, 11]
    assert [row["dataset_from_index"] for row in rows] == [0, 11, 17, 26]
    assert [row["videos/observation.images.top/from_timestamp"] for row in rows] == [0.0, 11 / HZ, 17 / HZ, 26 / HZ]
    info = json.loads((as_video / "meta/info.json").read_text())
    assert (info["fps"], info["total_frames"], info["total_tasks"]) == (20, 37, 2)


def test_files_that_are_full_are_followed_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "DataFiles", lambda folder: DataFiles(folder, megabytes=0))
    monkeypatch.setattr(exporting, "VideoFiles", lambda folder, key, fps: VideoFiles(folder, key, fps, megabytes=0))
    folder = export(tmp_path / "many", EPISODES)

    assert len(list(folder.glob("data/*/*.parquet"))) == len(list(folder.glob("videos/*.top/*/*.mp4"))) == 4
    for ours, theirs in zip(EPISODES, read(folder), strict=True):
        same_numbers(ours.steps, theirs.steps)


def test_nothing_is_overwritten_and_nothing_half_is_left(tmp_path: Path) -> None:
    folder = export(tmp_path / "made", EPISODES[:1])
    with pytest.raises(Conflict, match="it exists"):
        Exporter(folder)

    exporter = Exporter(tmp_path / "other")
    exporter.add(EPISODES[0], None)
    other = StepSchema(cameras=SCHEMA.cameras, proprio_width=5, action_low=(-1.0,), action_high=(1.0,))
    with pytest.raises(Invalid, match="schema"):
        exporter.add(make_episode(5, schema=other), None)
    exporter.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_an_empty_choice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="none"):
        Exporter(tmp_path / "empty").finish()


@pytest.mark.parametrize(("hz", "found"), [(80.0, 80.0), (1 / 0.0125, 80.0), (12.5, 12.5), (29.97, 29.97)])
def test_the_rate_is_that_of_the_timestamps(hz: float, found: float) -> None:
    steps = make_episode().steps

    assert steps_per_second(replace(steps, timestamp=steps.step / hz)) == found


def test_thoughts_come_back_where_there_were_any(tmp_path: Path) -> None:
    plain, thinking = make_episode(0), make_episode(1)
    hand = np.linspace(-1, 1, 2 * len(thinking.steps), dtype=np.float32).reshape(-1, 2)
    hand[2] = np.nan
    words = np.array(["reach to push"] * 3 + [""] * (len(thinking.steps) - 3), dtype=object)
    steps = replace(thinking.steps, subgoal=words, hand=hand)
    thinking = replace(thinking, header=replace(thinking.header, thoughts=True), steps=steps)
    found = read(export(tmp_path / "made", [plain, thinking]))
    assert (found[0].header.thoughts, found[0].steps.subgoal, found[0].steps.hand) == (False, None, None)
    assert found[1].header == thinking.header
    assert found[1].steps.subgoal is not None
    assert found[1].steps.subgoal.tolist() == words.tolist()
    np.testing.assert_array_equal(found[1].steps.hand, hand)
