"""What both sizes of the world model share: the joint latent's layout and the one denoising step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ramp.errors import Invalid
from ramp.models.frames import frame_side
from ramp.models.world.latents import Layout

if TYPE_CHECKING:
    from ramp.models.world.config import WorldConfig
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


class JointModel(nn.Module):
    """p(future latents, value | observation, instruction) of RAMP stage 1, whatever the networks are.

    A size brings `config`, `schema`, `layout`, `tokenize` and a `predictor`, which is called as
    (noisy s [B, frames, n, d], tau [B], present [B, V, n, d], proprio [B, P], words [B, W]) and answers the clean s.
    """

    config: WorldConfig
    schema: StepSchema
    layout: Layout
    predictor: nn.Module

    def train_only(self, part: str) -> None:
        """Let one part, "tokenizer" or "predictor", take gradients and freeze the other. Raises Invalid for another."""
        raise NotImplementedError

    def tokenize(self, images: Tensor) -> Tensor:
        """uint8 frames [..., V, height, width, 3 or 4] to latent tokens float32 [..., V, n, d], of RGB alone; no
        gradient."""
        raise NotImplementedError

    def seen(self, tensors: Mapping[str, Tensor], when: str = "") -> Tensor:
        """Latent tokens of the frames `<when>images`, or `<when>latents` themselves where they were made before."""
        kept = tensors.get(f"{when}latents")
        return self.tokenize(tensors[f"{when}images"]) if kept is None else kept

    @property
    def token_shape(self) -> tuple[int, int]:
        """(N, D) of Prediction.tokens."""
        return self.layout.visual_frames * self.layout.tokens, self.layout.width

    @torch.no_grad()
    def predict(self, tensors: Mapping[str, Tensor], *, generator: torch.Generator) -> Prediction:
        """ONE denoising step from pure noise (RAMP stage 2): s = eps + W(eps), which is the predictor's clean answer.

        Needs the keys images (or latents, see `seen`), proprio and words of ramp/data/transforms.py.
        """
        present = self.seen(tensors)
        shape = (len(present), self.layout.frames, self.layout.tokens, self.layout.width)
        noise = torch.randn(shape, generator=generator, device=present.device)
        tau = noise.new_zeros(len(present))
        clean = self.predictor(noise, tau, present, tensors["proprio"], tensors["words"])
        visual, _, _ = self.layout.split(clean)
        return Prediction(tokens=visual.flatten(1, 2), remaining=self.layout.read_values(clean))


def latent_grid(schema: StepSchema, *, stride: int, compression: int) -> tuple[int, int]:
    """Rows and columns of one frame's latent image: frames are padded to multiples of `stride` pixels first."""
    height, width = frame_side(schema, stride)
    return height // compression, width // compression


def joint_layout(config: WorldConfig, schema: StepSchema, *, grid: tuple[int, int], patch: int) -> Layout:
    """The joint latent over images of `grid` cells, `patch` cells a side to a token. Raises Invalid without horizons,
    as there would be nothing to predict."""
    if not config.horizons:
        raise Invalid("world.horizons", "()", "name at least one horizon in steps, for instance 12")
    return Layout(
        horizons=len(config.foreseen),
        views=len(schema.cameras),
        tokens=grid[0] * grid[1] // patch**2,
        width=config.latent_channels * patch**2,
        proprio=schema.proprio_width,
    )
