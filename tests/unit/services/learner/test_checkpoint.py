"""Checkpoints are there or not, keep a predecessor, and notice damage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ramp.errors import Corrupt
from services.learner.checkpoint import Checkpoints
from services.learner.progress import Progress

STATES = {"policy": {"model.a": torch.arange(4.0), "updates": torch.tensor(7)}}


def test_progress_and_tensors_come_back(tmp_path: Path) -> None:
    progress = Progress(stage="joint", update=12, policy_version=3, world_version=2)
    number = Checkpoints(tmp_path / "c").save(progress.plain(), STATES)
    plain, states = Checkpoints(tmp_path / "c").load(number)
    assert Progress.from_plain(plain) == progress
    assert torch.equal(states["policy"]["model.a"], STATES["policy"]["model.a"])
    assert int(states["policy"]["updates"]) == 7


def test_only_the_last_two_are_kept_and_numbers_go_on(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert [checkpoints.save({}, STATES) for _ in range(4)] == [1, 2, 3, 4]
    assert checkpoints.numbers() == [3, 4]
    assert checkpoints.newest() == 4


def test_what_a_dead_writer_left_does_not_count(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    (tmp_path / ".new-1").mkdir()
    assert checkpoints.newest() == 0
    assert checkpoints.save({}, STATES) == 1
    assert not list(tmp_path.glob(".new-*"))


@pytest.mark.parametrize("name", ["policy.safetensors", "state.json"])
def test_a_damaged_one_is_passed_over_for_the_one_before(tmp_path: Path, name: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    for _ in range(2):
        checkpoints.save({}, STATES)
    path = tmp_path / "00000002" / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(Corrupt):
        checkpoints.load(2)
    assert checkpoints.newest() == 1


def test_nothing_there_is_number_0(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").newest() == 0
