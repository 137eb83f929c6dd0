"""Embodied chain of thought: what the policy puts into words, tokens and a drawn line before it moves (GigaBrain-0.5).

Both heads read the backbone's tokens of observation and instruction, and neither the indicator nor the world model's
tokens. They shape the backbone in training; acting does not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from ramp.data.thoughts import BEGIN, END, PAD, SPECIAL
from ramp.data.track import POINTS
from ramp.errors import Invalid
from ramp.models.blocks import Block
from ramp.models.vla.config import PolicyConfig


def thought_size(config: PolicyConfig) -> int:
    """How many ids thoughts are written in (ramp/data/thoughts.py)."""
    return SPECIAL + config.text_vocabulary + config.action_vocabulary


@torch.no_grad()
def write_out(follow: Callable[[Tensor], Tensor], rows: int, length: int, device: torch.device) -> Tensor:
    """The likeliest next token again and again, from BEGIN to END: int64 [rows, L], PAD behind the end.

    `follow` gives logits [rows, L, size] of the token behind each of int64 [rows, L]; L is `length` at most.
    """
    written = torch.full((rows, 1), BEGIN, device=device)
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    while written.shape[1] < length and not ended.all():
        following = follow(written)[:, -1].argmax(dim=-1).masked_fill(ended, PAD)
        written = torch.cat([written, following[:, None]], dim=1)
        ended = ended | (following == END)
    return written


class Thought(nn.Module):
    """The heads of a policy with `config.thought`: `writer` and `tracker`."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.writer = Writer(config)
        self.tracker = Tracker(config)


class Writer(nn.Module):
    """Subgoal text and discrete action tokens, one after the other, over the one vocabulary of ramp/data/thoughts.py:
    a causal decoder that attends to the backbone's tokens."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        width, size = config.width, thought_size(config)
        self.embed = nn.Embedding(size, width)
        self.place = nn.Parameter(0.02 * torch.randn(config.thought_length, width))
        self.blocks = nn.ModuleList(
            Block(width, config.heads, cross=True, causal=True) for _ in range(config.thought_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, size)

    def forward(self, written: Tensor, tokens: Tensor, summary: Tensor) -> Tensor:
        """Logits float32 [B, L, size] of the token that follows each of `written`, int64 [B, L].

        `tokens` [B, M, width] and `summary` [B, width] are the backbone's. Raises Invalid for more tokens than
        `thought_length`.
        """
        length = written.shape[1]
        if length > len(self.place):
            raise Invalid("thought_tokens", f"{length} tokens", f"policy.thought_length is {len(self.place)}")
        x = self.embed(written) + self.place[:length]
        for block in self.blocks:
            x = block(x, summary, cast(Block, block).recall(tokens))
        return self.out(self.norm(x))


class Tracker(nn.Module):
    """The gripper's way through the picture (ramp/data/track.py): a learnable token for each point, which sees the
    others and the backbone's, then a GRU."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        width = config.width
        self.points = nn.Parameter(0.02 * torch.randn(POINTS, width))
        self.block = Block(width, config.heads, cross=True)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, 2)

    def forward(self, tokens: Tensor, summary: Tensor) -> Tensor:
        """Points float32 [B, 10, 2] in the picture's units; arguments as in Writer."""
        points = self.points.expand(len(tokens), -1, -1)
        mixed = self.block(points, summary, self.block.recall(tokens))
        return self.out(self.gru(mixed)[0])
