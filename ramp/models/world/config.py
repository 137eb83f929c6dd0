"""Settings of the world model's small size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ramp.errors import Invalid

PREDICTIONS = ("state", "value")


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Tokenizer and predictor (RAMP Eq. 6 and 7) that train on two cores in minutes."""

    architecture: ClassVar[str] = "small"

    predicts: str = "state"  # state: future frames, proprioception and value; value: that alone (RAMP Table 1)
    horizons: tuple[int, ...] = (12, 24, 36, 48)  # steps ahead (RAMP stage 1)
    latent_channels: int = 16  # of the tokenizer's latent image
    latent_patch: int = 4  # latent cells per token and side, as Wan2.2's transformer groups them
    width: int = 128  # of the predictor's tokens
    layers: int = 3  # of the predictor
    heads: int = 4  # of its attention; they divide the width
    value_weight: float = 1.0  # of the remaining time in the loss
    proprio_weight: float = 0.5  # of the predicted proprioception in the loss
    visual_weight: float = 1.0  # of the predicted latent images in the loss
    kl_weight: float = 1e-4  # of the tokenizer's prior; small, as it only keeps latents near unit scale
    share_zero: float = 0.5  # of training samples at tau = 0, because inference takes its one step from pure noise

    def __post_init__(self) -> None:
        if self.predicts not in PREDICTIONS:
            raise Invalid("world.predicts", self.predicts, f"choose one of {', '.join(PREDICTIONS)}")

    @property
    def foreseen(self) -> tuple[int, ...]:
        """Steps ahead at which it predicts the state: none where it predicts the value alone."""
        return self.horizons if self.predicts == "state" else ()
