"""The world model's full size: Wan2.2-TI2V-5B as RAMP's predictor of futures and values."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ramp.errors import Invalid
from ramp.models.frames import to_float
from ramp.models.world.joint import JointModel, joint_layout, latent_grid
from ramp.models.world.tokenizer import group
from ramp.models.world.wan_config import WanConfig
from ramp.models.world.wan_parts import COMPRESSION, WanParts, new_parts, read_parts
from ramp.models.world.wan_predictor import WanPredictor
from ramp.models.world.wan_tokenizer import WanTokenizer
from ramp.types import StepSchema


class WanWorldModel(JointModel):
    """Trained and asked exactly like the small `WorldModel`; random weights unless `parts` are given.

    Build it under `torch.device("meta")` to count its parameters, under another device or default dtype to have it
    there. Raises Invalid where the cameras of the schema differ in size or have neither three channels nor four, where
    there are no horizons and where the numbers of the configuration do not fit together.
    """

    def __init__(self, config: WanConfig, schema: StepSchema, parts: WanParts | None = None) -> None:
        super().__init__()
        grid = latent_grid(schema, stride=COMPRESSION * config.latent_patch, compression=COMPRESSION)
        parts = parts or new_parts(config)
        self.config, self.schema = config, schema
        self.layout = joint_layout(config, schema, grid=grid, patch=config.latent_patch)
        self.tokenizer = WanTokenizer(parts.autoencoder)
        self.predictor = WanPredictor(config, self.layout, grid, parts.transformer)

    @classmethod
    def from_folder(
        cls, folder: Path | None, config: WanConfig, schema: StepSchema, *, dtype: torch.dtype = torch.bfloat16
    ) -> WanWorldModel:
        """Published weights from a local folder (transformer/ and vae/ in it), loaded as `dtype`; random ones, in
        torch's default dtype, where it is None.

        Raises NotFound where a part is missing, Invalid where one is of another architecture or incomplete.
        """
        parts = None if folder is None else read_parts(folder, config, dtype)
        return cls(config, schema, parts)

    def train_only(self, part: str) -> None:
        """Let the "predictor" take gradients. Raises Invalid for another part: the tokenizer stays as published."""
        if part != "predictor":
            raise Invalid("part", part, "only the predictor is trained at full size; the tokenizer stays as published")
        self.predictor.requires_grad_(True)

    def train(self, mode: bool = True) -> WanWorldModel:
        """Set training mode, except for the frozen tokenizer."""
        super().train(mode)
        self.tokenizer.eval()
        return self

    def tokenize(self, images: Tensor) -> Tensor:
        """uint8 frames [..., V, height, width, 3 or 4] to latent tokens float32 [..., V, n, d]; no gradient."""
        frames = to_float(images, COMPRESSION * self.config.latent_patch)
        return group(self.tokenizer.encode(frames), self.config.latent_patch).unflatten(0, images.shape[:-3])
