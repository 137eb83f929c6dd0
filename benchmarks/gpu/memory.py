"""What a training step needs of a card's memory, before it is tried; the plan that fits, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import psutil
import torch
from torch import nn

from ramp.errors import RampError

STATES = 4 + 4 + 4
"""Bytes for every trained number, all the time: its weight and AdamW's two moments, in float32."""
GRADIENT = 4
"""Bytes for every trained number from its backward pass to the update."""
CAST = 2
"""Bytes for every number of a matrix product: the bfloat16 that it is computed in."""
RESERVE = 0.08
"""Share of the card that is left to CUDA, its libraries and fragmentation."""
GB = 1e9


class TooLargeError(RampError):
    """Not one layer fits on the card."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Bytes of a training step with `layers` layers and `batch` samples."""

    layers: int
    batch: int
    trained: int  # numbers
    frozen: int  # numbers, in float32 too
    kept: int  # bytes per sample: what activation checkpointing keeps, and one layer at work

    @property
    def activations(self) -> int:
        return self.batch * self.kept

    @property
    def peak(self) -> int:
        """As if all of it came together; in truth activations go as gradients come."""
        lasting = self.trained * (STATES + CAST) + self.frozen * (4 + CAST)
        return lasting + self.trained * GRADIENT + self.activations

    def __str__(self) -> str:
        parts = {
            f"weights and moments of {self.trained / GB:.2f} billion": self.trained * STATES,
            "gradients": self.trained * GRADIENT,
            "frozen weights": 4 * self.frozen,
            "weights once more, as bfloat16": (self.trained + self.frozen) * CAST,
            f"activations of {self.batch} samples, checkpointed": self.activations,
        }
        listed = "; ".join(f"{what} {size / GB:.1f}" for what, size in parts.items())
        return f"{self.layers} layers: about {self.peak / GB:.1f} GB at most ({listed})"


def fit(need: Need, per_layer: int, room: int, batches: Sequence[int]) -> Need:
    """All layers, if they fit with any batch; else as many as fit. With them, the largest batch that fits.

    `per_layer` trained numbers go with a layer; `room` is in bytes. Raises TooLargeError.
    """
    usable = int(room * (1.0 - RESERVE))
    for layers in range(need.layers, 0, -1):
        for batch in sorted(batches, reverse=True):
            candidate = replace(shallower(need, layers, per_layer), batch=batch)
            if candidate.peak <= usable:
                return candidate
    raise TooLargeError(f"one layer with one sample needs more than the {room / GB:.1f} GB that are free")


def shallower(need: Need, layers: int, per_layer: int) -> Need:
    """The same with fewer layers."""
    trained = need.trained - (need.layers - layers) * per_layer
    return replace(need, layers=layers, trained=trained, kept=need.kept * layers // need.layers)


def numbers(model: nn.Module) -> tuple[int, int]:
    """How many numbers of a model are trained, and how many are not."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return trained, sum(p.numel() for p in model.parameters()) - trained


def free_bytes(device: torch.device) -> int:
    """Memory that nobody uses yet: the card's, or the host's where the device is the processor."""
    if device.type != "cuda":
        return psutil.virtual_memory().available
    free, _ = torch.cuda.mem_get_info(device)
    return free
