"""The action expert: a small diffusion transformer over one action chunk."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ramp.models.blocks import Block, TimeEmbedding
from ramp.models.vla.config import PolicyConfig


class ActionExpert(nn.Module):
    """Velocity of a noisy action chunk, by self-attention over its H tokens and cross-attention to a memory."""

    def __init__(self, config: PolicyConfig, action_width: int) -> None:
        super().__init__()
        width = config.width
        self.time = TimeEmbedding(width)
        self.embed = nn.Linear(action_width, width)
        self.place = nn.Parameter(0.02 * torch.randn(config.chunk, width))
        self.blocks = nn.ModuleList(Block(width, config.heads, cross=True) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, action_width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def remember(self, memory: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Keys and values of memory [B, M, width] for every layer, once per decision and not once per ODE step."""
        return [cast(Block, block).recall(memory) for block in self.blocks]

    def forward(
        self, x: Tensor, tau: Tensor, condition: Tensor, memory: list[tuple[Tensor, Tensor]], visible: Tensor | None
    ) -> Tensor:
        """Velocity [B, H, A] at x [B, H, A]; tau [B], condition [B, width], visible bool [B, M] or None."""
        tokens = self.embed(x) + self.place
        condition = condition + self.time(tau)
        for block, key_value in zip(self.blocks, memory, strict=True):
            tokens = block(tokens, condition, key_value, visible)
        return self.out(self.norm(tokens))
