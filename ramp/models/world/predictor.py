"""A small diffusion transformer over the joint latent; W_phi of RAMP Eq. 7."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ramp.data.words import BUCKETS
from ramp.models.blocks import Block, TimeEmbedding, WordEmbedding
from ramp.models.world.config import WorldConfig
from ramp.models.world.latents import Layout


class Predictor(nn.Module):
    """Noisy future latents to clean ones, given the present: no action goes in, so it predicts for the data's policy.

    It answers with the clean latent (from which the velocity follows, see `WorldModelAlgorithm`), as an addition to the
    present latent of the same camera, because most of a picture stays as it is.
    """

    def __init__(self, config: WorldConfig, layout: Layout) -> None:
        super().__init__()
        width = config.width
        self.layout = layout
        self.time = TimeEmbedding(width)
        self.words = WordEmbedding(BUCKETS, width)
        self.proprio = nn.Sequential(nn.Linear(layout.proprio, width), nn.SiLU(), nn.Linear(width, width))
        self.present = nn.Linear(layout.width, width)
        self.noisy = nn.Linear(layout.width, width)
        self.place = nn.Parameter(0.02 * torch.randn(layout.views + layout.frames, layout.tokens, width))
        self.blocks = nn.ModuleList(Block(width, config.heads, cross=False) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, layout.width)

    def forward(self, s: Tensor, tau: Tensor, present: Tensor, proprio: Tensor, words: Tensor) -> Tensor:
        """Clean s [B, frames, n, d] from noisy s; present [B, V, n, d], proprio [B, P], words [B, W], tau [B]."""
        frames = torch.cat([self.present(present), self.noisy(s)], dim=1) + self.place
        body, instruction = self.proprio(proprio), self.words(words)
        tokens = torch.cat([frames.flatten(1, 2), body[:, None], instruction[:, None]], dim=1)
        condition = self.time(tau) + body + instruction
        for block in self.blocks:
            tokens = block(tokens, condition)
        first = self.layout.views * self.layout.tokens
        clean = self.out(self.norm(tokens[:, first:-2])).unflatten(1, (self.layout.frames, self.layout.tokens))
        return clean + self._stay(present, clean)

    def _stay(self, present: Tensor, clean: Tensor) -> Tensor:
        still = present[:, None].expand(-1, self.layout.horizons, -1, -1, -1).flatten(1, 2)
        return torch.cat([still, torch.zeros_like(clean[:, self.layout.visual_frames :])], dim=1)
