"""Stage 1, second part, and stage 4's world-model updates: flow matching over the joint latent (RAMP Eq. 6 and 7)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ramp.data.transforms import FOLDS
from ramp.models.flow import draw_tau, expand, interpolate, masked_mean, noise_like, velocity
from ramp.models.world.joint import JointModel

NEAREST = 0.25
"""1 - tau is bounded from below by it: closer to the data, the velocity only enlarges the network's rounding."""


class WorldModelAlgorithm:
    """L = E || W(s^tau) - (s - eps) ||^2 with s = [z; Psi(v); Psi(p)], s^tau = tau s + (1 - tau) eps.

    The predictor answers with the clean latent x, so W(s^tau) = (x - s^tau) / (1 - tau). tau is uniform, and 0 for a
    share of the samples. The value frame of head k takes no loss from episodes of fold k: it labels those
    (see docs/recipe.md). Futures that are not `future_valid` take no loss.
    """

    def loss(
        self, model: JointModel, tensors: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Needs all keys of ramp/data/transforms.py except action, chunk_valid and indicator."""
        layout, config = model.layout, model.config
        present = model.tokenize(tensors["images"])
        future = model.tokenize(tensors["future_images"])
        remaining = tensors["remaining"][:, None].expand(-1, FOLDS)
        s = layout.join(future, tensors["future_proprio"], remaining)
        noise = noise_like(s, generator)
        tau = draw_tau(len(s), generator, share_zero=config.share_zero)
        noisy = interpolate(s, noise, tau)
        clean = model.predictor(noisy, tau, present, tensors["proprio"], tensors["words"])
        predicted = (clean - noisy) / expand(1.0 - tau, clean).clamp(min=NEAREST)
        target = velocity(s, noise) * expand((1.0 - tau) / (1.0 - tau).clamp(min=NEAREST), s)
        visual, proprio, value = layout.split((predicted - target).square())
        known = tensors["future_valid"][:, :, None, None]
        in_loss = 1 - one_hot(tensors["fold"], FOLDS)
        parts = {
            "visual": masked_mean(visual, known.repeat_interleave(layout.views, dim=1)),
            "proprio": masked_mean(proprio, known),
            "value": masked_mean(value, in_loss[:, :, None, None]),
        }
        loss = (
            config.visual_weight * parts["visual"]
            + config.proprio_weight * parts["proprio"]
            + config.value_weight * parts["value"]
        )
        return loss, {name: float(part.detach()) for name, part in parts.items()}
