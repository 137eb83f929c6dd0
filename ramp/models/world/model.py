"""The world model: tokenizer and predictor, and what one denoising step of them says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ramp.errors import Invalid
from ramp.models.frames import STRIDE, frame_side, to_float
from ramp.models.world.config import WorldConfig
from ramp.models.world.latents import Layout
from ramp.models.world.predictor import Predictor
from ramp.models.world.tokenizer import Tokenizer, group
from ramp.types import StepSchema


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the world model expects from here on."""

    tokens: Tensor  # float32 [B, N, D], future visual latents z: what the policy is conditioned on
    remaining: Tensor  # float32 [B, 2], remaining time in [0, 1] by both value outputs, one per fold

    @property
    def value(self) -> Tensor:
        """float32 [B]: the mean of both outputs, for observations that neither has learnt from."""
        return self.remaining.mean(dim=1)


class WorldModel(nn.Module):
    """p(future latents, value | observation, instruction) of RAMP stage 1; of the value alone by `config.predicts`.

    Raises Invalid where the cameras of the schema differ in size or have other than three channels.
    """

    def __init__(self, config: WorldConfig, schema: StepSchema) -> None:
        super().__init__()
        height, width = frame_side(schema)
        rows, columns = height // STRIDE, width // STRIDE
        if not config.horizons:
            raise Invalid("world.horizons", "()", "name at least one horizon in steps, for instance 12")
        self.config, self.schema = config, schema
        self.patch = config.latent_patch if rows % config.latent_patch == 0 == columns % config.latent_patch else 1
        self.layout = Layout(
            horizons=len(config.foreseen),
            views=len(schema.cameras),
            tokens=rows * columns // self.patch**2,
            width=config.latent_channels * self.patch**2,
            proprio=schema.proprio_width,
        )
        self.tokenizer = Tokenizer(config)
        self.predictor = Predictor(config, self.layout)

    @property
    def token_shape(self) -> tuple[int, int]:
        """(N, D) of Prediction.tokens; N is 0 where the value is predicted alone."""
        return self.layout.visual_frames * self.layout.tokens, self.layout.width

    def train_only(self, part: str) -> None:
        """Let one part, "tokenizer" or "predictor", take gradients and freeze the other.

        Freezing matters with optimisers that decay weights whose gradient is zero. Raises Invalid for another name.
        """
        if part not in ("tokenizer", "predictor"):
            raise Invalid("part", part, "tokenizer or predictor")
        self.tokenizer.requires_grad_(part == "tokenizer")
        self.predictor.requires_grad_(part == "predictor")

    def tokenize(self, images: Tensor) -> Tensor:
        """uint8 frames [..., V, height, width, 3] to latent tokens [..., V, n, d]; no gradient."""
        tokens = group(self.tokenizer.encode(to_float(images)), self.patch)
        return tokens.unflatten(0, images.shape[:-3])

    @torch.no_grad()
    def predict(self, tensors: Mapping[str, Tensor], *, generator: torch.Generator) -> Prediction:
        """ONE denoising step from pure noise (RAMP stage 2): s = eps + W(eps), which is the predictor's clean answer.

        Needs the keys images, proprio and words of ramp/data/transforms.py.
        """
        present = self.tokenize(tensors["images"])
        shape = (len(present), self.layout.frames, self.layout.tokens, self.layout.width)
        noise = torch.randn(shape, generator=generator, device=present.device)
        tau = noise.new_zeros(len(present))
        clean = self.predictor(noise, tau, present, tensors["proprio"], tensors["words"])
        visual, _, _ = self.layout.split(clean)
        return Prediction(tokens=visual.flatten(1, 2), remaining=self.layout.read_values(clean))
