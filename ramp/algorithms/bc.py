"""Behaviour cloning: the same policy and loss with the indicator always hidden. The baseline of every comparison."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ramp.algorithms.ramp import draw_mask, flow_matching
from ramp.models.vla.policy import VLAPolicy
from ramp.types import UNLABELLED


class BehaviourCloningAlgorithm:
    """L = E[ -log pi(a|o,z,l) ]: RAMP Eq. 3 with alpha = 0."""

    def loss(
        self, model: VLAPolicy, tensors: Mapping[str, Tensor], *, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """As RampAlgorithm.loss, but blind to the indicator."""
        batch = len(tensors["action"])
        hidden = torch.full((batch,), UNLABELLED, dtype=torch.int64, device=tensors["action"].device)
        shown = ~draw_mask(batch, model.config.mask_world, generator)
        loss = flow_matching(model, tensors, hidden, shown, generator=generator)
        return loss, {"flow": float(loss.detach())}
