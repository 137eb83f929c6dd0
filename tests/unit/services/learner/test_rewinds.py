"""Which checkpoint a diverged training goes back to, and when it gives up."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from services.learner.checkpoint import Checkpoints
from services.learner.divergence import DivergedError
from services.learner.rewinds import MAX_REWINDS, Rewinds

ERROR = DivergedError("3 in a row")


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    found = Checkpoints(tmp_path)
    for _ in range(2):
        save(found)
    return found


def save(checkpoints: Checkpoints) -> int:
    return checkpoints.save({}, {"policy": {"a": torch.ones(1)}})


def test_the_newest_is_gone_back_to_and_kept(checkpoints: Checkpoints) -> None:
    Rewinds(checkpoints).prepare(ERROR)
    assert checkpoints.numbers() == [1, 2]


def test_a_second_time_without_a_newer_one_the_one_before_counts(checkpoints: Checkpoints) -> None:
    rewinds = Rewinds(checkpoints)
    for _ in range(2):
        rewinds.prepare(ERROR)
    assert checkpoints.numbers() == [1]


def test_one_that_the_training_got_on_from_is_not_doubted(checkpoints: Checkpoints) -> None:
    rewinds = Rewinds(checkpoints)
    rewinds.prepare(ERROR)
    assert save(checkpoints) == 3
    rewinds.prepare(ERROR)
    assert checkpoints.numbers() == [2, 3]


def test_the_last_one_is_never_forgotten_and_the_end_comes_after_so_many(checkpoints: Checkpoints) -> None:
    rewinds = Rewinds(checkpoints)
    for _ in range(MAX_REWINDS):
        rewinds.prepare(ERROR)
    with pytest.raises(DivergedError, match="3 in a row; lower the learning rate"):
        rewinds.prepare(ERROR)
    assert checkpoints.numbers() == [1]


def test_without_any_checkpoint_there_is_none_to_doubt(tmp_path: Path) -> None:
    rewinds = Rewinds(Checkpoints(tmp_path))
    for _ in range(2):
        rewinds.prepare(ERROR)
    assert rewinds.count == 2
