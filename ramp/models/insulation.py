"""Knowledge insulation: how much of a loss's gradient may pass back into what its input came from.

Hard insulation (Driess et al. 2025, 2505.23705) lets nothing through, so that the flow-matching loss of an untrained
action expert can't spoil the backbone; GigaBrain-0.7 lets a share alpha through.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.alpha * gradients[0], None


def insulate(x: Tensor, alpha: float) -> Tensor:
    """x itself going forward, alpha times its gradient going back: 0 is hard insulation, 1 none (and costs nothing)."""
    return x if alpha == 1.0 else _ScaleGradient.apply(x, alpha)
