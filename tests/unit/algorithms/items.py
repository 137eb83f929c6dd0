"""Items as a learner's batch holds them, for every objective of the policy."""

from __future__ import annotations

import torch

from tests.unit.models.samples import generator, tensors, world


def items(size: int = 4, seed: int = 0) -> dict[str, torch.Tensor]:
    """Observations, chunks, indicators, advantages, and tokens of a world model."""
    chosen = tensors(size, seed=seed)
    random = generator(seed)
    tokens = torch.randn(size, *world().token_shape, generator=random)
    return chosen | {"world_tokens": tokens, "advantage": torch.randn(size, generator=random)}
