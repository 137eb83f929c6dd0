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
    (see docs/recipe.md). Futures that are not `future_valid` take no loss. Where the model predicts the value alone,
    s = Psi(v) ("WM, value only" of Table 1).
    """

    def loss(
        self, model: JointModel, tensors: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Needs all keys of ramp/data/transforms.py except action, chunk_valid and indicator; those of the future only
        where the model predicts it. Frames may come as latents: `JointModel.seen`."""
        layout, config = model.layout, model.config
        present, s = model.seen(tensors), joint_latent(model, tensors)
        noise = noise_like(s, generator)
        tau = draw_tau(len(s), generator, share_zero=config.share_zero)
        noisy = interpolate(s, noise, tau)
        clean = model.predictor(noisy, tau, present, tensors["proprio"], tensors["words"])
        predicted = (clean - noisy) / expand(1.0 - tau, clean).clamp(min=NEAREST)
        target = velocity(s, noise) * expand((1.0 - tau) / (1.0 - tau).clamp(min=NEAREST), s)
        visual, proprio, value = layout.split((predicted - target).square())
        in_loss = 1 - one_hot(tensors["fold"], FOLDS)
        parts = {"value": masked_mean(value, in_loss[:, :, None, None])}
        loss = config.value_weight * parts["value"]
        if layout.horizons:
            known = tensors["future_valid"][:, :, None, None]
            parts["visual"] = masked_mean(visual, known.repeat_interleave(layout.views, dim=1))
            parts["proprio"] = masked_mean(proprio, known)
            loss = config.visual_weight * parts["visual"] + config.proprio_weight * parts["proprio"] + loss
        return loss, {name: float(part.detach()) for name, part in parts.items()}


def joint_latent(model: JointModel, tensors: Mapping[str, Tensor]) -> Tensor:
    """s [B, frames, n, d] of the data: [z; Psi(p); Psi(v)], or Psi(v) where the model predicts the value alone."""
    remaining = tensors["remaining"][:, None].expand(-1, FOLDS)
    if not model.layout.horizons:
        return model.layout.value_frames(remaining)
    return model.layout.join(model.seen(tensors, "future_"), tensors["future_proprio"], remaining)
