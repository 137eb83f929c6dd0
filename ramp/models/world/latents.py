"""The layout of RAMP's joint latent s = [z; Psi(v); Psi(p)] (Eq. 6) as frames of tokens.

Eq. 6 speaks of channels, the text of additional latent frames; frames need no change of architecture and are what
the authors' sibling code does, so frames it is. Order: K x V visual frames, K proprioception frames, 2 value frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ramp.data.transforms import FOLDS


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Sizes of the joint latent. n tokens of width d make one latent frame."""

    horizons: int  # K; 0 where the value is predicted alone
    views: int  # V
    tokens: int  # n
    width: int  # d
    proprio: int  # P

    @property
    def visual_frames(self) -> int:
        return self.horizons * self.views

    @property
    def frames(self) -> int:
        return self.visual_frames + self.horizons + FOLDS

    def join(self, visual: Tensor, proprio: Tensor, remaining: Tensor) -> Tensor:
        """visual [B, K, V, n, d], proprio [B, K, P], remaining [B, 2] in [0, 1] to s [B, frames, n, d]."""
        return torch.cat((visual.flatten(1, 2), self.tile(proprio), self.value_frames(remaining)), dim=1)

    def value_frames(self, remaining: Tensor) -> Tensor:
        """Psi(v) of remaining [B, 2]: [B, 2, n, d], which is all of s where K is 0."""
        value = 2.0 * remaining - 1.0
        return self.tile(value[..., None])

    def split(self, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three parts of s as frames: [B, K V, n, d], [B, K, n, d], [B, 2, n, d]."""
        return s.split((self.visual_frames, self.horizons, FOLDS), dim=1)

    def tile(self, vector: Tensor) -> Tensor:
        """Psi: a vector [..., m] repeated until it fills a latent frame [..., n, d]."""
        cells = self.tokens * self.width
        repeats = -(-cells // vector.shape[-1])
        full = vector.repeat(*([1] * (vector.dim() - 1)), repeats)[..., :cells]
        return full.unflatten(-1, (self.tokens, self.width))

    def read_values(self, s: Tensor) -> Tensor:
        """Remaining time [B, 2] in [0, 1]: the mean over each value frame."""
        _, _, value = self.split(s)
        return ((value.mean(dim=(2, 3)) + 1.0) / 2.0).clamp(0.0, 1.0)


def out_of_fold(remaining: Tensor, fold: Tensor) -> Tensor:
    """For each row the value output that took no loss from its episode: remaining [B, 2], fold int64 [B] to [B]."""
    return remaining.gather(1, fold[:, None])[:, 0]
