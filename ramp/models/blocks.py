"""Transformer blocks that both models share: adaptive layer norm, self-attention, optional cross-attention."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """Sinusoids of tau in [0, 1], then two layers. [B] to [B, width]."""

    omega: Tensor

    def __init__(self, width: int, frequencies: int = 32) -> None:
        super().__init__()
        periods = torch.exp(torch.linspace(math.log(0.02), math.log(4.0), frequencies))
        self.register_buffer("omega", 2.0 * math.pi / periods, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, tau: Tensor) -> Tensor:
        angle = tau[:, None] * self.omega
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=-1))


class Attention(nn.Module):
    """Multi-head attention; `memory` None means self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def remember(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, heads, M, width / heads] of a memory [B, M, width]; reusable across queries."""
        key, value = self.key_value(memory).chunk(2, dim=-1)
        return self._split(key), self._split(value)

    def forward(
        self, x: Tensor, key_value: tuple[Tensor, Tensor], visible: Tensor | None = None, *, causal: bool = False
    ) -> Tensor:
        """x [B, N, width]; `visible` bool [B, M], False where a key must not be seen; `causal`: none further on is."""
        mask = None if visible is None else visible[:, None, None, :]
        mixed = F.scaled_dot_product_attention(self._split(self.query(x)), *key_value, attn_mask=mask, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Self-attention (`causal`: to nothing further on), cross-attention to a memory if any, and an MLP, all modulated
    by a condition (adaLN-zero)."""

    def __init__(self, width: int, heads: int, *, cross: bool, causal: bool = False) -> None:
        super().__init__()
        self.causal = causal
        self.parts = 3 if cross else 2
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = Attention(width, heads)
        self.cross = Attention(width, heads) if cross else None
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.modulation = nn.Linear(width, 3 * self.parts * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self,
        x: Tensor,
        condition: Tensor,
        memory: tuple[Tensor, Tensor] | None = None,
        visible: Tensor | None = None,
    ) -> Tensor:
        """x [B, N, width], condition [B, width], memory as keys and values of `self.cross`, visible [B, M]."""
        chunks = self.modulation(F.silu(condition))[:, None].chunk(3 * self.parts, dim=-1)
        h = self._modulate(x, chunks[0], chunks[1])
        x = x + chunks[2] * self.attention(h, self.attention.remember(h), causal=self.causal)
        if self.cross is not None and memory is not None:
            x = x + chunks[5] * self.cross(self._modulate(x, chunks[3], chunks[4]), memory, visible)
        return x + chunks[-1] * self.mlp(self._modulate(x, chunks[-3], chunks[-2]))

    def recall(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory [B, M, width] for `forward`; only where the block was built with `cross`."""
        if self.cross is None:
            raise TypeError("this block has no cross-attention")
        return self.cross.remember(memory)

    def _modulate(self, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
        return self.norm(x) * (1.0 + scale) + shift


class WordEmbedding(nn.Module):
    """Mean of hashed word embeddings, in place of a language model: int64 [B, W] (0 is no word) to [B, width]."""

    def __init__(self, buckets: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(buckets, width)

    def forward(self, words: Tensor) -> Tensor:
        present = (words > 0).to(self.table.weight.dtype)[..., None]
        return (self.table(words) * present).sum(dim=1) / present.sum(dim=1).clamp(min=1.0)
