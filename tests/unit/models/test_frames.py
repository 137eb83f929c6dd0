"""Frames as the networks take them."""

from __future__ import annotations

import pytest
import torch

from ramp.errors import Invalid
from ramp.models.frames import frame_side, letterbox, random_shift, to_float
from ramp.types import StepSchema


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_black_is_minus_one_and_white_is_one() -> None:
    frames = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 16, 16, 3)
    floats = to_float(frames)
    assert floats.shape == (2, 3, 16, 16)
    assert torch.equal(floats[0], -torch.ones(3, 16, 16))
    assert torch.equal(floats[1], torch.ones(3, 16, 16))


@pytest.mark.parametrize("sideways", [False, True])
def test_a_shift_moves_the_picture_and_repeats_its_edge(sideways: bool) -> None:
    frames = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 16, 1, 1).expand(64, 1, 16, 16, 3)
    frames = frames.transpose(2, 3) if sideways else frames
    shifted = random_shift(frames, 2, generator())
    assert shifted.shape == frames.shape
    shifted = shifted.transpose(2, 3) if sideways else shifted
    tops = set(shifted[:, 0, 0, 0, 0].tolist())
    assert tops == {0, 1, 2}
    for top, bottom in zip(shifted[:, 0, 0, 0, 0].tolist(), shifted[:, 0, -1, 0, 0].tolist(), strict=True):
        assert top == 0 or bottom == 15


def test_no_shift_is_the_same_picture() -> None:
    frames = torch.randint(0, 255, (2, 2, 16, 16, 3), dtype=torch.uint8)
    assert random_shift(frames, 0, generator()) is frames


def test_frames_without_colour_are_refused() -> None:
    schema = StepSchema(cameras={"a": (16, 16, 1)}, proprio_width=1, action_low=(-1.0,), action_high=(1.0,))
    with pytest.raises(Invalid, match="RGB"):
        frame_side(schema)


def test_a_letterbox_keeps_the_shape_of_things_and_adds_black() -> None:
    frame = torch.full((1, 10, 20, 3), 255, dtype=torch.uint8)
    boxed = letterbox(frame, 8)
    assert boxed.shape == (1, 3, 8, 8)
    torch.testing.assert_close(boxed[:, :, 2:6], torch.ones(1, 3, 4, 8))
    assert (boxed[:, :, :2] == -1.0).all()
    assert (boxed[:, :, 6:] == -1.0).all()


def test_a_square_frame_of_the_right_side_passes_the_letterbox_as_it_is() -> None:
    frame = torch.randint(0, 256, (2, 4, 4, 3), dtype=torch.uint8)
    torch.testing.assert_close(letterbox(frame, 4), frame.permute(0, 3, 1, 2) / 127.5 - 1.0)
