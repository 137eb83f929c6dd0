"""RECAP's policy objective (pi*0.6, section on policy extraction): the advantage as a condition, and no world model."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Generator, Tensor

from ramp.algorithms.augment import augmented
from ramp.algorithms.ramp import draw_mask, flow_matching, indicator_report
from ramp.algorithms.thought import joint_loss
from ramp.models.vla.chunk_policy import ChunkPolicy
from ramp.models.vla.config import Told
from ramp.types import UNLABELLED


class RecapAlgorithm:
    """L = E[ -log pi(a|o,l) - alpha log pi(a|I,o,l) ]: RAMP's Eq. 3 with the world model's tokens z always hidden.

    RAMP calls RECAP its marginal over z (Eq. 4). Hiding I at random takes alpha's place (RECAP, App. F).
    """

    told = Told(indicator=True, world=False)

    def loss(
        self, model: ChunkPolicy, tensors: Mapping[str, Tensor], *, generator: Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """As RampAlgorithm.loss; `world_tokens` need not be there and have no say."""
        tensors = augmented(tensors, model.config, generator)
        hidden = draw_mask(len(tensors["indicator"]), model.config.mask_indicator, generator)
        draw_mask(len(tensors["indicator"]), 1.0, generator)  # RAMP's second draw: both papers see the same noise
        indicator = tensors["indicator"].masked_fill(hidden, UNLABELLED)
        flow, context = flow_matching(model, tensors, indicator, None, generator=generator)
        loss, report = joint_loss(model, tensors, context, flow)
        return loss, {**report, **indicator_report(tensors)}
