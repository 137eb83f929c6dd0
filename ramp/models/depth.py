"""Depth as an optional fourth channel of a policy's pictures (GigaBrain-0: RGB-D input, 2510.19430).

The kernels for it start at zero, so a pre-trained encoder starts unchanged, and in training whole observations lose
their depth at random, so the same weights serve robots without it. 0 is no reading: hidden depth adds exactly nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Generator, Tensor, nn

from ramp.types import StepSchema


def sees_depth(schema: StepSchema) -> bool:
    """Whether the frames have a fourth channel."""
    return any(channels == 4 for _, _, channels in schema.cameras.values())


def without_depth(schema: StepSchema) -> StepSchema:
    """The same robot with RGB cameras."""
    return replace(schema, cameras={camera: (h, w, min(c, 3)) for camera, (h, w, c) in schema.cameras.items()})


def add_depth_kernels(convolution: nn.Conv2d) -> None:
    """Widen an encoder's first convolution by one input channel, in place: w' = [w, 0]. Draws nothing at random."""
    weight = convolution.weight.detach()
    convolution.weight = nn.Parameter(torch.cat([weight, torch.zeros_like(weight[:, :1])], dim=1))
    convolution.in_channels += 1


def hide_depth(images: Tensor, probability: float, generator: Generator) -> Tensor:
    """uint8 [B, V, height, width, 4] with all depth pictures of an observation 0 at the given probability. Images of
    three channels come back as they are, and nothing is drawn for them."""
    if images.shape[-1] == 3:
        return images
    hidden = torch.rand(len(images), generator=generator, device=generator.device) < probability
    depth = images[..., 3:].masked_fill(hidden[:, None, None, None, None], 0)
    return torch.cat([images[..., :3], depth], dim=-1)


def with_hidden_depth(images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """camera -> uint8 [height, width, 4] of frames of three channels; those of four stay."""
    return {
        camera: np.dstack([frame, np.zeros_like(frame[..., :1])]) if frame.shape[-1:] == (3,) else frame
        for camera, frame in images.items()
    }
