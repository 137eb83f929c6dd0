"""Linear layers with one set of weights per robot."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EmbodimentLinear(nn.Module):
    """y = W_e x + b_e, where e is the robot that the sample comes from (GigaBrain-0's state and action projections)."""

    def __init__(self, embodiments: int, inward: int, outward: int) -> None:
        super().__init__()
        bound = inward**-0.5
        self.weight = nn.Parameter(torch.empty(embodiments, inward, outward).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(embodiments, outward))

    def forward(self, x: Tensor, embodiment: Tensor) -> Tensor:
        """x [B, N, inward] to [B, N, outward]; embodiment int64 [B]."""
        return torch.baddbmm(self.bias[embodiment][:, None], x, self.weight[embodiment])
