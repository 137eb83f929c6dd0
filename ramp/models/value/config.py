"""Settings of the value head on a vision-language backbone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ValueConfig:
    """What `ramp bench value` compares with the world model; no run trains it."""

    bins: int = 201  # of the remaining time, learnt by cross-entropy (RECAP); 1: a scalar, by squared error (RAMP)
    width: int = 128  # of the backbone's tokens
    channels: int = 32  # of the image encoder, which turns each into one key point per view
