"""Stage 1, first part: the tokenizer learns to reconstruct frames, and is frozen afterwards (a trained VAE in RAMP)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ramp.models.flow import noise_like
from ramp.models.frames import to_float
from ramp.models.world.model import WorldModel


class TokenizerAlgorithm:
    """loss = mean |x - decode(z)|^2 + kl_weight * KL(q(z|x) || N(0, I)), z ~ q(z|x) (Kingma & Welling 2014)."""

    def loss(
        self, model: WorldModel, tensors: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Needs the key images. Also lets the latents' running statistics follow the batch."""
        tokenizer = model.tokenizer
        frames = to_float(tensors["images"])
        mean, log_variance = tokenizer.posterior(frames)
        latents = mean + (0.5 * log_variance).exp() * noise_like(mean, generator)
        error = (tokenizer.decode(latents) - frames).square().mean()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
        tokenizer.follow(mean)
        loss = error + model.config.kl_weight * divergence
        return loss, {"reconstruction": float(error.detach()), "divergence": float(divergence.detach())}
