"""Where bfloat16 takes float32's place: in matrix products on a GPU, and in weights that are published."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether `training.precision` asks for bfloat16 and this device is fast in it; a CPU computes in float32."""
    return precision == "bfloat16" and device.type == "cuda"


def matrix_products(device: torch.device, bfloat16: bool) -> torch.autocast:
    """Inside it, matrix products are computed in bfloat16, or as everything else in the weights' own float32.

    The weights stay float32, so no second copy of them has to be kept, checkpointed and averaged; gradients need no
    scaling, as bfloat16 has float32's range.
    """
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def published(weights: Mapping[str, Tensor], precision: str) -> Mapping[str, Tensor]:
    """Weights as `training.precision` has them stored. Whoever loads them computes with them as float32 again."""
    if precision == "float32":
        return weights
    return {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
