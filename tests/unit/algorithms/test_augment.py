"""What is done to training batches, and what must follow it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ramp.algorithms.augment import augmented
from tests.unit.models.samples import POLICY, generator, tensors
from tests.unit.models.thinking import THINKING, labelled


def spot(side: int = 16) -> dict[str, Tensor]:
    """A white point in each of two cameras' pictures, and a track that stays on it."""
    images = torch.zeros(24, 2, side, side, 3, dtype=torch.uint8)
    images[:, :, 6, 9] = 255
    centre = (torch.tensor([9.0, 6.0]) + 0.5) * 2 / side - 1
    return {"images": images, "track": centre.expand(24, 10, 2)}


def test_a_track_moves_with_the_picture_that_it_is_drawn_in() -> None:
    moved = augmented(spot(), replace(THINKING, shift=3), generator(2))
    for item in range(24):
        for view in range(2):
            row, column = (moved["images"][item, view, ..., 0] == 255).nonzero()[0].tolist()
            there = (torch.tensor([column, row]) + 0.5) * 2 / 16 - 1
            torch.testing.assert_close(moved["track"][item], there.expand(10, 2))
    assert len(moved["track"][:, 0].unique(dim=0)) > 10


def test_nothing_else_is_touched_and_the_batch_itself_stays() -> None:
    batch = labelled(4)
    before = {name: tensor.clone() for name, tensor in batch.items()}
    moved = augmented(batch, replace(THINKING, shift=2), generator(0))
    assert {name for name in batch if not torch.equal(moved[name], batch[name])} == {"images", "track"}
    assert all(torch.equal(tensor, before[name]) for name, tensor in batch.items())


def test_a_policy_that_draws_nothing_keeps_its_cameras_apart() -> None:
    moved = augmented(spot(), replace(POLICY, shift=3), generator(2))
    assert torch.equal(moved["track"], spot()["track"])
    assert not torch.equal(moved["images"][:, 0], moved["images"][:, 1])


def test_without_a_shift_the_pictures_are_as_they_were() -> None:
    batch = tensors(3)
    assert augmented(batch, replace(POLICY, shift=0), generator())["images"] is batch["images"]
