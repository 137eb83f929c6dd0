"""Settings of the world model's full size: Wan2.2-TI2V-5B."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ramp.models.world.config import WorldConfig


@dataclass(frozen=True, kw_only=True)
class WanConfig(WorldConfig):
    """The defaults are the published numbers of Wan2.2-TI2V-5B (its transformer/config.json and vae/config.json)."""

    architecture: ClassVar[str] = "wan2.2"

    weights: str = (
        ""  # folder of Wan2.2-TI2V-5B's published weights, transformer/ and vae/ in it; empty: random weights
    )
    latent_channels: int = 48  # of the autoencoder's latent image; Wan2.2's statistics are for 48 and no other number
    latent_patch: int = 2  # latent cells per token and side
    width: int = 3072  # of the transformer's tokens; a multiple of the heads
    layers: int = 30  # of the transformer
    heads: int = 24  # of its attention
    ffn: int = 14336  # width inside its feed-forward layers
    text_width: int = 4096  # of the instruction's word vectors: that of umT5-xxl, in whose place they are learned
    encoder_width: int = 160  # channels of the autoencoder's first encoder stage
    decoder_width: int = 256  # channels of its last decoder stage
    checkpointing: bool = True  # recompute each block in the backward pass instead of keeping its activations
