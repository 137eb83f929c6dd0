"""W_phi of RAMP Eq. 7 on Wan2.2's diffusion transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ramp.data.words import BUCKETS
from ramp.models.world.latents import Layout
from ramp.models.world.tokenizer import group, ungroup
from ramp.models.world.wan_config import WanConfig

if TYPE_CHECKING:
    from ramp.models.world.wan_parts import WanTransformer3DModel

NOISIEST = 1000.0
"""Wan's time step of pure noise; 0 is a clean frame."""


class WanPredictor(nn.Module):
    """Noisy future latents to clean ones: a video whose first frames are known.

    The frames of the video, each of n tokens: proprioception (tiled, as Psi does), one per camera, then the joint
    latent s: future pictures, future proprioception, values. Known frames have time step 0, noisy ones their own:
    Wan2.2-TI2V's time step per token. No change of architecture is needed, so published weights fit (RAMP stage 1).
    The instruction's word vectors are learned here, in the place of a text encoder larger than the transformer.
    """

    def __init__(
        self, config: WanConfig, layout: Layout, grid: tuple[int, int], transformer: WanTransformer3DModel
    ) -> None:
        super().__init__()
        self.layout, self.grid, self.patch = layout, grid, config.latent_patch
        self.words = nn.Embedding(BUCKETS, config.text_width)
        self.transformer = transformer
        if config.checkpointing:
            transformer.enable_gradient_checkpointing()

    def forward(self, s: Tensor, tau: Tensor, present: Tensor, proprio: Tensor, words: Tensor) -> Tensor:
        """Clean s [B, frames, n, d] from noisy s; present [B, V, n, d], proprio [B, P], words [B, W], tau [B].

        Wan answers eps - x, the negative of our velocity, so x = s - (1 - tau) (eps - x). float32 in and out.
        """
        known = torch.cat([self.layout.tile(proprio)[:, None], present], dim=1)
        video = self.to_video(torch.cat([known, s], dim=1)).to(self.dtype)
        time = token_times(tau, known=known.shape[1], noisy=s.shape[1], tokens=self.layout.tokens)
        (answer,) = self.transformer(video, time, self.read(words), return_dict=False)
        backwards = self.to_tokens(answer.float())[:, known.shape[1] :]
        return s - (1.0 - tau)[:, None, None, None] * backwards

    @property
    def dtype(self) -> torch.dtype:
        """That of the transformer's inputs; published weights keep a few norms in float32."""
        return self.transformer.patch_embedding.weight.dtype

    def read(self, words: Tensor) -> Tensor:
        """Word vectors [B, W, text width]; zero where there is no word, as Wan pads its text."""
        vectors = self.words(words) * (words > 0)[..., None]
        return vectors.to(self.dtype)

    def to_video(self, frames: Tensor) -> Tensor:
        """Frames of tokens [B, F, n, d] to a latent video [B, C, F, rows, columns]."""
        latents = ungroup(frames.flatten(0, 1), self.patch, self.grid[0])
        return latents.unflatten(0, frames.shape[:2]).transpose(1, 2)

    def to_tokens(self, video: Tensor) -> Tensor:
        """Inverse of `to_video`."""
        latents = video.transpose(1, 2)
        return group(latents.flatten(0, 1), self.patch).unflatten(0, latents.shape[:2])


def token_times(tau: Tensor, *, known: int, noisy: int, tokens: int) -> Tensor:
    """Wan's time step of every token, [B, (known + noisy) tokens]: 0 in known frames, 1000 (1 - tau) in noisy ones."""
    time = NOISIEST * (1.0 - tau)[:, None]
    frames = torch.cat([torch.zeros_like(time).expand(-1, known), time.expand(-1, noisy)], dim=1)
    return frames.repeat_interleave(tokens, dim=1)
