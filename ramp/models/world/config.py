"""Settings of the world model's small size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Tokenizer and predictor (RAMP Eq. 6 and 7) that train on two cores in minutes."""

    horizons: tuple[int, ...] = (12, 24, 36, 48)  # steps ahead (PAPERS 1.3)
    latent_channels: int = 16
    width: int = 128
    layers: int = 3
    heads: int = 4
    value_weight: float = 1.0
    proprio_weight: float = 0.5
    visual_weight: float = 1.0
