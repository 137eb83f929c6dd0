"""Embodied chain of thought at full size: the language model writes it, and draws from learnable tokens (RAMP Eq. 1).

Thoughts have their own vocabulary (ramp/data/thoughts.py), as what is learnt from the data at hand has to fit a robot's
subgoals and actions. It takes the last ids before the mark of a picture: in PaliGemma-2's vocabulary paddings, segments
and places in a picture, of which no policy here speaks. Published weights' own words are left as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ramp.data.track import POINTS
from ramp.errors import Invalid
from ramp.models.vla.paligemma_config import PaliGemmaConfig
from ramp.models.vla.prefix import KeyValue, Prefix
from ramp.models.vla.thought import thought_size


class LanguageThought(nn.Module):
    """What a thinking policy has besides its language model: a token for each point of the track, and a GRU.

    Both heads see what the prefix shows, with or without the world model's tokens, and never the indicator.
    """

    def __init__(self, config: PaliGemmaConfig) -> None:
        super().__init__()
        self.ids = thought_ids(config)
        self.length = config.thought_length
        self.points = nn.Parameter(0.02 * torch.randn(POINTS, config.language_width))
        self.gru = nn.GRU(config.language_width, config.width, batch_first=True)
        self.out = nn.Linear(config.width, 2)

    def follow(self, written: Tensor, prefix: Prefix, memory: Sequence[KeyValue], visible: Tensor) -> Tensor:
        """Logits float32 [B, L, size] of the thought's token that follows each of `written`, int64 [B, L].

        Raises Invalid for more tokens than `thought_length`.
        """
        if written.shape[1] > self.length:
            remedy = f"policy.thought_length is {self.length}"
            raise Invalid("thought_tokens", f"{written.shape[1]} tokens", remedy)
        return prefix.write(written + self.ids.start, memory, visible, of=self.ids)

    def draw(self, prefix: Prefix, memory: Sequence[KeyValue], visible: Tensor) -> Tensor:
        """Points float32 [B, 10, 2] in the picture's units: each point's token sees the prefix and the other points."""
        points = self.points.expand(len(visible), -1, -1).to(prefix.dtype)
        return self.out(self.gru(prefix.ponder(points, memory, visible).to(self.points.dtype))[0]).float()


def thought_ids(config: PaliGemmaConfig) -> slice:
    """Which of the language model's ids thoughts are written in. Raises Invalid where it has too few."""
    end = config.vocabulary - 1  # the mark of a picture
    size = thought_size(config)
    if size >= end:
        raise Invalid("policy.vocabulary", config.vocabulary, f"give more than {size}, the ids that thoughts take")
    return slice(end - size, end)
