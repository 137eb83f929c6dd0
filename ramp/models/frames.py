"""Camera frames as the models take them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ramp.errors import Invalid
from ramp.types import StepSchema

STRIDE = 16
"""The small image encoders halve a side four times; frames are padded to multiples of it."""


def frame_side(schema: StepSchema, stride: int = STRIDE) -> tuple[int, int]:
    """Height and width of every camera, padded up to multiples of `stride`. Raises Invalid where cameras differ."""
    shapes = set(schema.cameras.values())
    if len(shapes) != 1:
        raise Invalid("schema.cameras", dict(schema.cameras), "give at least one camera, all of the same size")
    height, width, channels = shapes.pop()
    if channels != 3:
        raise Invalid("schema.cameras", f"{channels} channels", "send RGB frames")
    return -(-height // stride) * stride, -(-width // stride) * stride


def to_float(frames: Tensor, stride: int = STRIDE) -> Tensor:
    """uint8 [..., height, width, 3] to float32 [N, 3, height', width'] in [-1, 1], all leading dimensions flattened;
    grey below and to the right up to multiples of `stride`."""
    flat = frames.flatten(0, -4).permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)
    bottom, right = -flat.shape[-2] % stride, -flat.shape[-1] % stride
    return F.pad(flat, (0, right, 0, bottom)) if bottom or right else flat.contiguous()


def letterbox(frames: Tensor, side: int) -> Tensor:
    """uint8 [..., height, width, 3] to float32 [N, 3, side, side] in [-1, 1]: the longer edge scaled, black around."""
    flat = frames.flatten(0, -4).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
    scale = side / max(flat.shape[-2:])
    height, width = (max(1, round(edge * scale)) for edge in flat.shape[-2:])
    if (height, width) != tuple(flat.shape[-2:]):
        flat = F.interpolate(flat, (height, width), mode="bilinear", antialias=True)
    top, left = (side - height) // 2, (side - width) // 2
    return F.pad(flat, (left, side - width - left, top, side - height - top), value=-1.0)


def random_shift(frames: Tensor, reach: int, generator: torch.Generator) -> Tensor:
    """Each uint8 frame [B, V, height, width, 3] moved by up to `reach` pixels, its edge repeated (DrQ, 2004.13649)."""
    if reach == 0:
        return frames
    flat = frames.flatten(0, 1)
    count, height, width, channels = flat.shape
    down, right = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator, device=frames.device)
    edges = [flat[:, :, :1].expand(-1, -1, reach, -1), flat, flat[:, :, -1:].expand(-1, -1, reach, -1)]
    windows = torch.cat(edges, dim=2).flatten(2).unfold(2, width * channels, channels)  # [N, h, moves, w * channels]
    rows = (torch.arange(height, device=frames.device) + down - reach).clamp(0, height - 1)
    item = torch.arange(count, device=frames.device)[:, None]
    return windows[item, rows, right].reshape(frames.shape)
