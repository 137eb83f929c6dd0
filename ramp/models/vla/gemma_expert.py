"""The action expert of the mixture of transformers: narrow layers beside the language model's, with its attention."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ramp.models.vla.paligemma_config import PaliGemmaConfig

LONGEST_WAVE = 10_000.0
"""Of the rotary positions; the language model's, as both are turned in the same attention."""
PERIODS = (4e-3, 4.0)
"""Shortest and longest period of the flow time's sinusoids (GigaBrain-0, as pi0)."""


class AdaptiveNorm(nn.Module):
    """RMS norm whose scale, shift and gate come from the condition (adaRMS): y = x / rms(x) (1 + scale) + shift.

    All three start at 0, so that at first every layer lets its input pass.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(width, 3 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised x [B, N, width] and the gate [B, 1, width]; condition [B, width]."""
        scale, shift, gate = self.modulation(condition)[:, None].chunk(3, dim=-1)
        return F.rms_norm(x, x.shape[-1:], eps=1e-6) * (1.0 + scale) + shift, gate


class ExpertLayer(nn.Module):
    """Attention over the language model's keys and values of the same layer and the expert's own; gated GELU."""

    def __init__(self, config: PaliGemmaConfig) -> None:
        super().__init__()
        self.heads = (config.heads, config.key_value_heads)
        queries, keys = (heads * config.head_width for heads in self.heads)
        self.attention_norm, self.ffn_norm = AdaptiveNorm(config.width), AdaptiveNorm(config.width)
        self.query = nn.Linear(config.width, queries, bias=False)
        self.key = nn.Linear(config.width, keys, bias=False)
        self.value = nn.Linear(config.width, keys, bias=False)
        self.mix = nn.Linear(queries, config.width, bias=False)
        self.gate = nn.Linear(config.width, config.ffn, bias=False)
        self.up = nn.Linear(config.width, config.ffn, bias=False)
        self.down = nn.Linear(config.ffn, config.width, bias=False)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        memory: tuple[Tensor, Tensor],
        seen: Tensor,
        turns: tuple[Tensor, Tensor],
    ) -> Tensor:
        """x [B, N, width], condition [B, width]; memory keys and values [B, key-value heads, M, head width]; seen bool
        [B, 1, 1, M + N]; turns as `rotation` gives them."""
        h, gate = self.attention_norm(x, condition)
        x = x + gate * self._attend(h, memory, seen, turns)
        h, gate = self.ffn_norm(x, condition)
        return x + gate * self.down(F.gelu(self.gate(h), approximate="tanh") * self.up(h))

    def _attend(self, h: Tensor, memory: tuple[Tensor, Tensor], seen: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        query = turn(self._split(self.query(h), self.heads[0]), turns)
        key = turn(self._split(self.key(h), self.heads[1]), turns)
        keys = torch.cat([memory[0].to(key.dtype), key], dim=2)
        values = torch.cat([memory[1].to(key.dtype), self._split(self.value(h), self.heads[1])], dim=2)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=seen, enable_gqa=True)
        return self.mix(mixed.transpose(1, 2).flatten(2))

    @staticmethod
    def _split(x: Tensor, heads: int) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class GemmaExpert(nn.Module):
    """Tokens of state and noisy actions to features that the velocity is read from."""

    def __init__(self, config: PaliGemmaConfig) -> None:
        super().__init__()
        self.width, self.head_width, self.checkpointing = config.width, config.head_width, config.checkpointing
        self.time = nn.Sequential(
            nn.Linear(config.width, config.width), nn.SiLU(), nn.Linear(config.width, config.width), nn.SiLU()
        )
        self.layers = nn.ModuleList(ExpertLayer(config) for _ in range(config.layers))
        self.norm = AdaptiveNorm(config.width)

    def forward(
        self,
        x: Tensor,
        tau: Tensor,
        condition: Tensor,
        memory: Sequence[tuple[Tensor, Tensor]],
        visible: Tensor,
    ) -> Tensor:
        """x [B, N, width] at flow time tau [B]; memory holds each layer's keys and values of M prefix tokens, of which
        `visible` bool [B, M] are seen. The expert's tokens see each other, at positions behind the visible prefix."""
        condition = condition + self.time(sinusoids(tau, self.width).to(x.dtype))
        own = torch.ones_like(visible[:, :1]).expand(-1, x.shape[1])
        seen = torch.cat([visible, own], dim=1)[:, None, None, :]
        positions = visible.sum(dim=1, keepdim=True) + torch.arange(1, x.shape[1] + 1, device=x.device)
        turns = rotation(positions, self.head_width)
        for layer, key_value in zip(self.layers, memory, strict=True):
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, condition, key_value, seen, turns, use_reentrant=False)
            else:
                x = layer(x, condition, key_value, seen, turns)
        return self.norm(x, condition)[0]


def sinusoids(tau: Tensor, width: int) -> Tensor:
    """Sines, then cosines of 2 pi tau / period for width / 2 periods; float32 [B, width]."""
    exponents = torch.linspace(math.log(PERIODS[0]), math.log(PERIODS[1]), width // 2, device=tau.device)
    angle = 2.0 * math.pi * tau.float()[:, None] / exponents.exp()
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


def rotation(positions: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's rotary angles, float32 [B, 1, N, width / 2] each; positions [B, N]."""
    steps = torch.arange(0, width, 2, device=positions.device) / width
    angle = positions[:, None, :, None] * LONGEST_WAVE**-steps
    return angle.cos(), angle.sin()


def turn(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions as Gemma has them: a head's halves are the two coordinates. x [B, heads, N, d]."""
    cos, sin = turns
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)
