"""Frames as the networks take them."""

from __future__ import annotations

import pytest
import torch

from ramp.errors import Invalid
from ramp.models.frames import frame_side, in_picture, letterbox, random_moves, shift, to_float
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
    shifted = shift(frames, random_moves(frames, 2, generator()), 2)
    assert shifted.shape == frames.shape
    shifted = shifted.transpose(2, 3) if sideways else shifted
    tops = set(shifted[:, 0, 0, 0, 0].tolist())
    assert tops == {0, 1, 2}
    for top, bottom in zip(shifted[:, 0, 0, 0, 0].tolist(), shifted[:, 0, -1, 0, 0].tolist(), strict=True):
        assert top == 0 or bottom == 15


def test_a_point_of_the_picture_goes_where_its_move_says() -> None:
    frames = torch.zeros(32, 2, 16, 24, 3, dtype=torch.uint8)
    frames[:, :, 5, 10] = 255
    moves = random_moves(frames, 3, generator())
    shifted = shift(frames, moves, 3)
    for item, view in ((0, 0), (7, 1), (31, 0)):
        down, right = moves[item, view].tolist()
        assert shifted[item, view, 5 + down, 10 + right].tolist() == [255] * 3
    expected = torch.stack([moves[..., 1] / 12.0, moves[..., 0] / 8.0], dim=-1)  # half a picture is 12 by 8 pixels
    torch.testing.assert_close(in_picture(moves, frames), expected)


def test_cameras_move_apart_unless_they_are_told_to_move_together() -> None:
    frames = torch.zeros(32, 2, 16, 16, 3, dtype=torch.uint8)
    apart, together = (random_moves(frames, 2, generator(), together=flag) for flag in (False, True))
    assert not torch.equal(apart[:, 0], apart[:, 1])
    assert torch.equal(together[:, 0], together[:, 1])
    assert set(together.flatten().tolist()) == {-2, -1, 0, 1, 2}


def test_no_shift_is_the_same_picture() -> None:
    frames = torch.randint(0, 255, (2, 2, 16, 16, 3), dtype=torch.uint8)
    moves = random_moves(frames, 0, generator())
    assert not moves.any()
    assert shift(frames, moves, 0) is frames


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
