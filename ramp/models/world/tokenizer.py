"""A small variational autoencoder over single frames, in the place of Wan2.2's VAE."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ramp.models.world.config import WorldConfig

SMOOTHING = 0.02
"""Share by which the latents' running mean and deviation follow each training batch."""


class Tokenizer(nn.Module):
    """Frames [N, 3, h, w] to latents [N, C, h/16, w/16] and back; one set of weights for every camera."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: WorldConfig, width: int = 32) -> None:
        super().__init__()
        channels = config.latent_channels
        self.encoder = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=4),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(4 * width, 2 * channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, 4 * width, 3, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.ConvTranspose2d(width, 3, 4, stride=4),
        )
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))

    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the latents, before standardisation."""
        mean, log_variance = self.encoder(frames).chunk(2, dim=1)
        return mean, log_variance.clamp(-12.0, 4.0)

    def decode(self, latents: Tensor) -> Tensor:
        """Frames in [-1, 1] from latents as `posterior` gives them (not standardised)."""
        return self.decoder(latents)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Posterior mean, standardised to about zero mean and unit deviation; no gradient, as it is frozen by then."""
        mean, _ = self.posterior(frames)
        return (mean - self._wide(self.mean)) / self._wide(self.deviation)

    def reconstruct(self, latents: Tensor) -> Tensor:
        """Frames in [-1, 1] from standardised latents; what a person may look at."""
        return self.decode(latents * self._wide(self.deviation) + self._wide(self.mean))

    @torch.no_grad()
    def follow(self, latents: Tensor) -> None:
        """Let the running statistics follow a training batch [N, C, h, w]; not one with values that are not finite, as
        its update is left out and nan would stay for good."""
        if not torch.isfinite(latents).all():
            return
        self.mean.lerp_(latents.mean(dim=(0, 2, 3)), SMOOTHING)
        self.deviation.lerp_(latents.std(dim=(0, 2, 3)).clamp(min=1e-3), SMOOTHING)

    @staticmethod
    def _wide(per_channel: Tensor) -> Tensor:
        return per_channel[None, :, None, None]


def group(latents: Tensor, patch: int) -> Tensor:
    """Latents [N, C, h, w] to tokens [N, (h w) / patch^2, C patch^2]."""
    return F.pixel_unshuffle(latents, patch).flatten(2).transpose(1, 2)


def ungroup(tokens: Tensor, patch: int, height: int) -> Tensor:
    """Inverse of `group`; `height` is that of the latent grid."""
    grid = tokens.transpose(1, 2).unflatten(2, (height // patch, -1))
    return F.pixel_shuffle(grid, patch)
