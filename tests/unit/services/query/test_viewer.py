"""A recording holds what the episode holds; read back with Rerun's own tool."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ramp.replay.labels import Labels
from ramp.types import Episode, Outcome, Source
from tests.experience import make_header, make_steps

pytest.importorskip("rerun", reason="rerun-sdk is not installed: make setup")
from services.query import viewer


@pytest.fixture
def episode() -> Episode:
    steps = make_steps(0, 12)
    steps.source[4:8] = Source.HUMAN
    return Episode(header=make_header("e7"), steps=steps, outcome=Outcome.FAILURE)


def printed(path: Path) -> str:
    words = [sys.executable, "-m", "rerun", "rrd", "print", "-vvv", str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


def test_everything_is_on_both_timelines(episode: Episode, tmp_path: Path) -> None:
    falling = np.array([-0.75, -0.5, -0.25], np.float32)
    labels = Labels(value=falling, advantage=falling / 2, indicator=np.array([0, 1, 1], np.int8))

    viewer.write(episode, labels, tmp_path / "e7.rrd")

    text = printed(tmp_path / "e7.rrd")
    for entity in ("action", "proprio", "reward", "intervention", "policy_version", "source", "indicator"):
        assert f"/{entity}" in text
    for entity in ("value/value", "value/advantage", "camera/top", "camera/wrist"):
        assert f"/{entity}" in text
    assert "step" in text
    assert "seconds" in text
    assert "-0.75" in text
    assert "human" in text
    assert [path.name for path in tmp_path.iterdir()] == ["e7.rrd"]


def test_an_episode_without_labels_has_no_value_curve(episode: Episode, tmp_path: Path) -> None:
    viewer.write(episode, None, tmp_path / "e7.rrd")

    assert "value/advantage" not in printed(tmp_path / "e7.rrd")


def test_a_place_that_cannot_be_written_is_an_os_error(episode: Episode, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        viewer.write(episode, None, tmp_path / "nowhere" / "e7.rrd")
