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
    """Height and width of every camera, padded up to multiples of `stride`. Raises Invalid where cameras differ or have
    other channels than RGB with or without depth."""
    shapes = set(schema.cameras.values())
    if len(shapes) != 1:
        raise Invalid("schema.cameras", dict(schema.cameras), "give at least one camera, all of the same size")
    height, width, channels = shapes.pop()
    if channels not in (3, 4):
        raise Invalid("schema.cameras", f"{channels} channels", "send RGB frames, or RGB with depth")
    return -(-height // stride) * stride, -(-width // stride) * stride


def to_float(frames: Tensor, stride: int = STRIDE) -> Tensor:
    """uint8 [..., height, width, 3] to float32 [N, 3, height', width'] in [-1, 1], all leading dimensions flattened;
    grey below and to the right up to multiples of `stride`. A fourth channel, depth, is left out."""
    flat = frames[..., :3].flatten(0, -4).permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)
    bottom, right = -flat.shape[-2] % stride, -flat.shape[-1] % stride
    return F.pad(flat, (0, right, 0, bottom)) if bottom or right else flat.contiguous()


def to_depth(frames: Tensor, stride: int = STRIDE) -> Tensor:
    """The fourth channel of uint8 [..., height, width, 4] as float32 [N, 1, height', width'] in [0, 1], nearer is more;
    0, no reading, below and to the right up to multiples of `stride`."""
    flat = frames[..., 3:].flatten(0, -4).permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
    return F.pad(flat, (0, -flat.shape[-1] % stride, 0, -flat.shape[-2] % stride))


def letterbox(frames: Tensor, side: int) -> Tensor:
    """uint8 [..., height, width, 3] to float32 [N, 3, side, side] in [-1, 1]: the longer edge scaled, black around. A
    fourth channel, depth, is left out."""
    flat = frames[..., :3].flatten(0, -4).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
    height, width = _within(flat, side)
    if (height, width) != tuple(flat.shape[-2:]):
        flat = F.interpolate(flat, (height, width), mode="bilinear", antialias=True)
    return _centred(flat, side, around=-1.0)


def letterbox_depth(frames: Tensor, side: int) -> Tensor:
    """The fourth channel of uint8 [..., height, width, 4] as float32 [N, 1, side, side] in [0, 1]: the nearest reading,
    as a mean of two distances would be neither's; none around."""
    flat = frames[..., 3:].flatten(0, -4).permute(0, 3, 1, 2).to(torch.float32) / 255.0
    return _centred(F.interpolate(flat, _within(flat, side), mode="nearest-exact"), side, around=0.0)


def _within(flat: Tensor, side: int) -> tuple[int, int]:
    """Height and width of pictures [N, C, h, w] scaled so that the longer edge is `side`."""
    scale = side / max(flat.shape[-2:])
    height, width = (max(1, round(edge * scale)) for edge in flat.shape[-2:])
    return height, width


def _centred(flat: Tensor, side: int, *, around: float) -> Tensor:
    height, width = flat.shape[-2:]
    top, left = (side - height) // 2, (side - width) // 2
    return F.pad(flat, (left, side - width - left, top, side - height - top), value=around)


def random_moves(frames: Tensor, reach: int, generator: torch.Generator, *, together: bool = False) -> Tensor:
    """How far each frame of [B, V, height, width, channels] shall move: int64 [B, V, 2], pixels down and right, up to
    `reach` in either direction; the same for all cameras of an item where they move `together`."""
    drawn = (*frames.shape[:2], 2)  # as many either way: what is drawn afterwards does not depend on it
    moves = torch.randint(-reach, reach + 1, drawn, generator=generator, device=frames.device)
    return moves[:, :1].expand_as(moves) if together else moves


def in_picture(moves: Tensor, frames: Tensor) -> Tensor:
    """`random_moves` as float32 [B, V, 2] in the units of a track, x before y: the picture reaches from -1 to 1."""
    height, width = frames.shape[2:4]
    return 2.0 * moves.flip(-1) / torch.tensor([width, height], device=moves.device)


def shift(frames: Tensor, moves: Tensor, reach: int) -> Tensor:
    """Each uint8 frame [B, V, height, width, channels] moved by `moves` int64 [B, V, 2], which stay within `reach`; its
    edge is repeated (DrQ, 2004.13649)."""
    if reach == 0:
        return frames
    flat = frames.flatten(0, 1)
    count, height, width, channels = flat.shape
    down, right = (reach - moves.flatten(0, 1)).T[..., None]  # where the windows begin
    edges = [flat[:, :, :1].expand(-1, -1, reach, -1), flat, flat[:, :, -1:].expand(-1, -1, reach, -1)]
    windows = torch.cat(edges, dim=2).flatten(2).unfold(2, width * channels, channels)  # [N, h, moves, w * channels]
    rows = (torch.arange(height, device=frames.device) + down - reach).clamp(0, height - 1)
    item = torch.arange(count, device=frames.device)[:, None]
    return windows[item, rows, right].reshape(frames.shape)
