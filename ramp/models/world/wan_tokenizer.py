"""Wan2.2's autoencoder over single frames, in the small tokenizer's place; it is used as it was published."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ramp.models.world.wan_parts import LATENTS_MEAN, LATENTS_STD

if TYPE_CHECKING:
    from ramp.models.world.wan_parts import AutoencoderKLWan


class WanTokenizer(nn.Module):
    """Frames [N, 3, h, w] to latents [N, 48, h/16, w/16] and back, each frame on its own, as ViVa has it.

    Wan's video autoencoder is causal: the first frame of a clip becomes one latent frame by itself, so a frame is a
    clip of length one. Frozen.
    """

    def __init__(self, autoencoder: AutoencoderKLWan) -> None:
        super().__init__()
        self.autoencoder = autoencoder.requires_grad_(False).eval()

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """float32 posterior means, standardised by the published statistics: z = (mode - mean) / std."""
        clip = frames.to(self.autoencoder.dtype)[:, :, None]
        latents = self.autoencoder.encode(clip).latent_dist.mode()[:, :, 0].float()
        mean, deviation = statistics(latents)
        return (latents - mean) / deviation

    @torch.no_grad()
    def reconstruct(self, latents: Tensor) -> Tensor:
        """float32 frames in [-1, 1] from standardised latents; what a person may look at."""
        mean, deviation = statistics(latents)
        raw = (latents * deviation + mean).to(self.autoencoder.dtype)
        return self.autoencoder.decode(raw[:, :, None]).sample[:, :, 0].float()


def statistics(like: Tensor) -> tuple[Tensor, Tensor]:
    """The published mean and deviation, float32 [1, 48, 1, 1]. No buffers, as a model cast to bfloat16 would round
    them."""
    return _published(like.device)


@cache
def _published(device: torch.device) -> tuple[Tensor, Tensor]:
    """Copied to the device once: a copy from the host would wait for it each time, and no CUDA graph may hold one."""
    rows = torch.tensor([LATENTS_MEAN, LATENTS_STD], dtype=torch.float32, device=device)
    mean, deviation = rows[:, None, :, None, None]
    return mean, deviation
