"""Behaviour cloning: the policy is told nothing of advantages or futures. The baseline of every comparison."""

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


class BehaviourCloningAlgorithm:
    """L = E[ -log pi(a|o,l) ]: RAMP's Eq. 3 with alpha = 0 and z hidden; every stored action counts alike."""

    told = Told(indicator=False, world=False)

    def loss(
        self, model: ChunkPolicy, tensors: Mapping[str, Tensor], *, generator: Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Needs images, proprio, words, action, chunk_valid."""
        tensors = augmented(tensors, model.config, generator)
        hidden = torch.full((len(tensors["action"]),), UNLABELLED, dtype=torch.int64, device=tensors["action"].device)
        flow, context = flow_matching(model, tensors, hidden, None, generator=generator)
        return joint_loss(model, tensors, context, flow)
