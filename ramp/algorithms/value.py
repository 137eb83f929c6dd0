"""The objective of a value model without a world model: RECAP's distributional one, and RAMP's scalar baseline."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from ramp.models.value.model import ValueModel


class ValueAlgorithm:
    """L = E[ H(R^B_t, p(V | o_t, l)) ]: cross-entropy of the Monte-Carlo return in B bins (pi*0.6, value function).

    R_t is the episode's remaining time in [0, 1] of the task's limit, failures later by the penalty (RAMP Eq. 5), and
    R^B_t the nearest of B bins. With one bin L = E[ (V(o_t, l) - R_t)^2 ]: the VLM-based value model of RAMP's Table 1.
    """

    def loss(
        self, model: ValueModel, tensors: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Needs images, proprio, words and remaining of ramp/data/transforms.py; nothing is drawn."""
        answer, remaining = model(tensors), tensors["remaining"]
        if model.config.bins == 1:
            loss = F.mse_loss(answer[:, 0], remaining)
        else:
            loss = F.cross_entropy(answer, nearest_bin(remaining, model.config.bins))
        return loss, {"value": float(loss.detach())}


def nearest_bin(remaining: Tensor, bins: int) -> Tensor:
    """int64 [B]: of float32 [B] in [0, 1], the bin whose centre is nearest; centres lie evenly from 0 to 1."""
    return (remaining * (bins - 1)).round().long()
