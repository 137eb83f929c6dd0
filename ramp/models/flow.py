"""Flow matching, once, for the policy and the world model: noise at tau = 0, data at tau = 1.

RAMP prints the interpolation `tau * x + (1 - tau) * eps` beside the target `eps - x` in Eq. 1 and beside `x - eps` in
Eq. 7. Only the second is the derivative of the interpolation, so that sign is used everywhere here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Field = Callable[[Tensor, Tensor], Tensor]
"""Velocity [B, ...] at x [B, ...] and tau [B]."""


def noise_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise of x's shape, dtype and device."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)


def draw_tau(batch: int, generator: torch.Generator, *, share_zero: float = 0.0) -> Tensor:
    """tau ~ U(0, 1) as float32 [B]; with probability `share_zero` it is exactly 0, where one-step inference asks."""
    tau = torch.rand(batch, generator=generator, device=generator.device)
    if share_zero > 0.0:
        zero = torch.rand(batch, generator=generator, device=generator.device) < share_zero
        tau = tau.masked_fill(zero, 0.0)
    return tau


def expand(tau: Tensor, like: Tensor) -> Tensor:
    """[B] to [B, 1, ..., 1] with as many dimensions as `like`."""
    return tau.reshape(-1, *([1] * (like.dim() - 1)))


def interpolate(clean: Tensor, noise: Tensor, tau: Tensor) -> Tensor:
    """x^tau = tau * x + (1 - tau) * eps (RAMP Eq. 1 and 7); clean, noise [B, ...], tau [B]."""
    weight = expand(tau, clean)
    return weight * clean + (1.0 - weight) * noise


def velocity(clean: Tensor, noise: Tensor) -> Tensor:
    """d x^tau / d tau = x - eps, the regression target."""
    return clean - noise


def integrate(field: Field, start: Tensor, steps: int) -> Tensor:
    """Euler's method from tau = 0 to 1: `field(x [B, ...], tau [B])` is the velocity; `start` is noise."""
    x = start
    for index in range(steps):
        tau = torch.full((len(x),), index / steps, dtype=x.dtype, device=x.device)
        x = x + field(x, tau) / steps
    return x


def guide(both: Field, beta: float) -> Field:
    """f(.) + beta (f(I) - f(.)): classifier-free guidance (Ho & Salimans 2022; RECAP).

    `both` answers for 2 B rows at once, which costs less than twice B: f(I) for the first half, f(.) for the second.
    """

    def guided(x: Tensor, tau: Tensor) -> Tensor:
        shown, without = both(twice(x), twice(tau)).chunk(2)
        return without + beta * (shown - without)

    return guided


def twice(x: Tensor) -> Tensor:
    """[B, ...] to [2 B, ...]: all rows, then all again."""
    return torch.cat([x, x])


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of `values` where `mask` (broadcastable, bool or float) is set; 0 where nothing is."""
    weight = mask.to(values.dtype).expand_as(values)
    return (values * weight).sum() / weight.sum().clamp(min=1.0)
