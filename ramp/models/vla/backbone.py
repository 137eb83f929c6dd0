"""What the policy sees and reads, as features: the place of the VLM backbone at small size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ramp.data.words import BUCKETS
from ramp.models.blocks import WordEmbedding
from ramp.models.depth import add_depth_kernels


class KeyPoints(nn.Module):
    """Where each feature channel fires: soft arg-max over the plane (Levine et al. 2016). [N, C, h, w] to [N, 2C]."""

    grid: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
        grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).flatten(1)
        self.register_buffer("grid", grid.T.contiguous(), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        return (features.flatten(2).softmax(dim=-1) @ self.grid).flatten(1)


class View(nn.Module):
    """One camera: patchify, two convolutions modulated by the instruction, key points. [B, 3, h, w] to [B, 2C]; with
    `depth` [B, 4, h, w]."""

    def __init__(self, channels: int, width: int, side: tuple[int, int], *, depth: bool) -> None:
        super().__init__()
        self.patchify = nn.Conv2d(3, channels, 4, stride=4)
        if depth:
            add_depth_kernels(self.patchify)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(width, 2 * channels)
        self.points = KeyPoints(side[0] // 4, side[1] // 4)

    def forward(self, frames: Tensor, instruction: Tensor) -> Tensor:
        shift, scale = self.modulation(instruction)[:, :, None, None].chunk(2, dim=1)
        x = torch.relu(self.patchify(frames))
        x = torch.relu(self.first(x) * (1.0 + scale) + shift)
        return self.points(self.second(x))


class Backbone(nn.Module):
    """Frames, instruction and proprioception to observation tokens [B, V + 2, width] and one summary [B, width]."""

    def __init__(
        self, *, views: int, side: tuple[int, int], proprio: int, channels: int, width: int, depth: bool = False
    ) -> None:
        super().__init__()
        self.words = WordEmbedding(BUCKETS, width)
        self.views = nn.ModuleList(View(channels, width, side, depth=depth) for _ in range(views))
        self.seen = nn.ModuleList(nn.Linear(2 * channels, width) for _ in range(views))
        self.body = nn.Linear(proprio, width)
        summary_width = views * 2 * channels + proprio + width
        self.summary = nn.Sequential(nn.Linear(summary_width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))

    def forward(self, frames: Tensor, proprio: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """frames float32 [B, V, 3, h, w] in [-1, 1], with `depth` a fourth channel in [0, 1]; proprio [B, P], words
        int64 [B, W]."""
        instruction = self.words(words)
        points = [view(frames[:, index], instruction) for index, view in enumerate(self.views)]
        seen = [layer(p) for layer, p in zip(self.seen, points, strict=True)]
        tokens = torch.stack([*seen, self.body(proprio), instruction], dim=1)
        return tokens, self.summary(torch.cat([*points, proprio, instruction], dim=-1))
