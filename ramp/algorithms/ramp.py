"""RAMP's policy objective (Eq. 3) as it is trained in practice."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from ramp.algorithms.augment import augmented
from ramp.algorithms.thought import joint_loss
from ramp.errors import Invalid
from ramp.models.flow import draw_tau, interpolate, noise_like, velocity
from ramp.models.vla.chunk_policy import ChunkPolicy
from ramp.models.vla.config import Told
from ramp.models.vla.policy import Context
from ramp.types import UNLABELLED


class RampAlgorithm:
    """L = E[ -log pi(a|o,z,l) - alpha log pi(a|I,o,z,l) ]: one flow-matching loss whose I is hidden at random.

    Hiding I with probability 0.2 takes alpha's place (RECAP), and hiding the world-model tokens z with
    probability 0.2, independently, makes the efficient mode possible (stages 2, 4). Unlabelled steps are trained
    with I hidden. Steps that are not `chunk_valid` take no loss.
    """

    told = Told(indicator=True, world=True)

    def loss(
        self, model: ChunkPolicy, tensors: Mapping[str, Tensor], *, generator: Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Needs images, proprio, words, action, chunk_valid, indicator, and world_tokens float32 [B, N, D].

        Raises Invalid where the chunk is of another length than the policy's.
        """
        config, tensors = model.config, augmented(tensors, model.config, generator)
        hidden = draw_mask(len(tensors["indicator"]), config.mask_indicator, generator)
        shown = ~draw_mask(len(tensors["indicator"]), config.mask_world, generator)
        indicator = tensors["indicator"].masked_fill(hidden, UNLABELLED)
        flow, context = flow_matching(model, tensors, indicator, shown, generator=generator)
        loss, report = joint_loss(model, tensors, context, flow)
        return loss, {**report, **indicator_report(tensors)}


def flow_matching(
    model: ChunkPolicy,
    tensors: Mapping[str, Tensor],
    indicator: Tensor,
    world_visible: Tensor | None,
    *,
    generator: Generator,
    weight: Tensor | None = None,
) -> tuple[Tensor, Context]:
    """Mean over valid steps of w || f(a^tau) - (a - eps) ||^2 with a^tau = tau a + (1 - tau) eps (RAMP Eq. 1).

    Also the context it was computed in, which the other terms of Eq. 1 share.

    `indicator` int64 [B], UNLABELLED where hidden; `world_visible` bool [B] shows the tokens z to single samples, None
    to none of them; `weight` float32 [B], 1 where it is None. The mean divides by the number of valid steps, whatever
    the weights are.
    """
    action = tensors["action"]
    if action.shape[1] != model.config.chunk:
        raise Invalid("action", f"chunks of {action.shape[1]}", f"the policy's chunk is {model.config.chunk}")
    noise = noise_like(action, generator)
    tau = draw_tau(len(action), generator)
    tokens = None if world_visible is None else tensors.get("world_tokens")
    context = model.observe(tensors, tokens, indicator, world_visible=world_visible)
    predicted = model(interpolate(action, noise, tau), tau, context)
    error = (predicted - velocity(action, noise)).square().mean(dim=-1)
    valid = tensors["chunk_valid"].to(error.dtype)
    weighted = error if weight is None else error * weight[:, None]
    return (weighted * valid).sum() / valid.sum().clamp(min=1.0), context


def indicator_report(tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Shares of the batch with I = 1 and without a label."""
    indicator = tensors["indicator"]
    return {
        "positive": float((indicator == 1).float().mean()),
        "unlabelled": float((indicator == UNLABELLED).float().mean()),
    }


def draw_mask(batch: int, probability: float, generator: Generator) -> Tensor:
    """bool [B], True with the given probability."""
    return torch.rand(batch, generator=generator, device=generator.device) < probability
