"""What a training batch goes through that a served observation does not."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Generator, Tensor

from ramp.models.depth import hide_depth
from ramp.models.frames import in_picture, random_moves, shift
from ramp.models.vla.config import PolicyConfig


def augmented(tensors: Mapping[str, Tensor], config: PolicyConfig, generator: Generator) -> dict[str, Tensor]:
    """Pictures moved by up to config.shift pixels, and depth hidden with probability config.depth_dropout.

    A track float32 [B, 10, 2] that is to be learnt moves with its picture. Nothing here knows which camera it is about,
    so the cameras of one item move together then.
    """
    images, drawn = tensors["images"], config.thought and "track" in tensors
    moves = random_moves(images, config.shift, generator, together=drawn)
    moved = {"images": hide_depth(shift(images, moves, config.shift), config.depth_dropout, generator)}
    if drawn:
        moved["track"] = tensors["track"] + in_picture(moves, images)[:, :1]
    return {**tensors, **moved}
