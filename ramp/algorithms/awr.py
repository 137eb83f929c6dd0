"""Advantage-weighted regression (Peng et al. 2019, 1910.00177) for a flow-matching policy."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Generator, Tensor

from ramp.algorithms.augment import augmented
from ramp.algorithms.ramp import flow_matching
from ramp.algorithms.thought import joint_loss
from ramp.models.vla.chunk_policy import ChunkPolicy
from ramp.models.vla.config import Told
from ramp.types import UNLABELLED

EPSILON = 1e-5
"""Added to the deviation by which advantages are divided, as in the authors' code."""


class AwrAlgorithm:
    """L = E[ w(A) || f(a^tau) - (a - eps) ||^2 ] with w(A) = min(exp(A' / beta), w_max).

    A' is the advantage of RAMP's Eq. 8, normalised over the batch. A flow policy has no likelihood, so the weight
    stands before its flow-matching loss. The policy is told neither I nor z: what is known of an action is its weight.
    """

    told = Told(indicator=False, world=False)

    def __init__(self, *, temperature: float = 1.0, weight_clip: float = 20.0) -> None:
        """beta and w_max; the defaults are those of the authors' code, which normalises advantages as well."""
        self.temperature, self.weight_clip = temperature, weight_clip

    def loss(
        self, model: ChunkPolicy, tensors: Mapping[str, Tensor], *, generator: Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Needs images, proprio, words, action, chunk_valid, and advantage float32 [B], nan where there is none."""
        tensors = augmented(tensors, model.config, generator)
        hidden = torch.full_like(tensors["indicator"], UNLABELLED)
        weight = advantage_weights(tensors["advantage"], self.temperature, self.weight_clip)
        flow, context = flow_matching(model, tensors, hidden, None, generator=generator, weight=weight)
        loss, report = joint_loss(model, tensors, context, flow)
        return loss, {**report, "weight_max": float(weight.max())}


def advantage_weights(advantage: Tensor, temperature: float, clip: float) -> Tensor:
    """float32 [B]: min(exp((A - mean) / (deviation + 1e-5) / beta), w_max), and 1 where A is nan."""
    labelled = torch.isfinite(advantage)
    known = advantage[labelled]
    if len(known) < 2:
        return torch.ones_like(advantage)
    normalised = (advantage - known.mean()) / (known.std(correction=0) + EPSILON)
    weight = torch.exp(normalised / temperature).clamp(max=clip)
    return weight.where(labelled, torch.ones_like(weight))
