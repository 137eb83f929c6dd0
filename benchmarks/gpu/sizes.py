"""The models of this benchmark, full and small, with random weights made where they will be used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ramp.models.vla import PaliGemmaConfig, PaliGemmaPolicy
from ramp.models.world import WanConfig, WanWorldModel
from ramp.models.world.joint import joint_layout, latent_grid
from ramp.models.world.latents import Layout
from ramp.models.world.wan_parts import COMPRESSION
from ramp.types import StepSchema


@dataclass(frozen=True, kw_only=True)
class Size:
    """Both models and the robot that they see through."""

    name: str
    policy: PaliGemmaConfig
    world: WanConfig
    schema: StepSchema
    dtype: torch.dtype  # of the weights that decide; those in training are float32

    @property
    def layout(self) -> Layout:
        """Of the world model's joint latent."""
        patch = self.world.latent_patch
        grid = latent_grid(self.schema, stride=COMPRESSION * patch, compression=COMPRESSION)
        return joint_layout(self.world, self.schema, grid=grid, patch=patch)

    @property
    def token_shape(self) -> tuple[int, int]:
        """(N, D) of the world model's tokens, as the policy reads them."""
        layout = self.layout
        return layout.visual_frames * layout.tokens, layout.width


def robot(side: int, joints: int) -> StepSchema:
    """Two cameras of `side` pixels; as many numbers of state as of action."""
    cameras = dict.fromkeys(("left", "right"), (side, side, 3))
    return StepSchema(cameras=cameras, proprio_width=joints, action_low=(-1.0,) * joints, action_high=(1.0,) * joints)


FULL = Size(name="full size", policy=PaliGemmaConfig(), world=WanConfig(), schema=robot(224, 14), dtype=torch.bfloat16)
SMALL = Size(
    name="tiny",
    policy=PaliGemmaConfig(
        chunk=4,
        width=16,
        ffn=24,
        layers=2,
        heads=4,
        key_value_heads=2,
        head_width=8,
        language_width=32,
        language_ffn=40,
        vocabulary=520,
        channels=16,
        vision_ffn=24,
        vision_layers=2,
        vision_heads=2,
        prompt=6,
        image_side=28,
        slots=5,
    ),
    world=WanConfig(
        horizons=(4, 8), width=24, layers=2, heads=2, ffn=40, text_width=8, encoder_width=4, decoder_width=4
    ),
    schema=robot(32, 2),
    dtype=torch.bfloat16,
)


@contextmanager
def made_on(device: torch.device, dtype: torch.dtype) -> Iterator[None]:
    """New tensors are made there and of that type: 5 billion weights never pass through the host's memory."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)


def new_policy(size: Size, device: torch.device) -> PaliGemmaPolicy:
    """Random weights; every run the same."""
    torch.manual_seed(0)
    with made_on(device, size.dtype):
        return PaliGemmaPolicy(size.policy, size.schema, size.token_shape)


def new_world(size: Size, device: torch.device) -> WanWorldModel:
    """Random weights; every run the same."""
    torch.manual_seed(0)
    with made_on(device, size.dtype):
        return WanWorldModel(size.world, size.schema)


def noise_batch(size: Size, rows: int, device: torch.device) -> dict[str, Tensor]:
    """All that both models read and are trained on; what a step costs does not depend on the values."""
    random = torch.Generator(device).manual_seed(1)
    schema, horizons, words = size.schema, len(size.world.horizons), size.policy.prompt

    def normal(*shape: int) -> Tensor:
        return torch.randn(rows, *shape, generator=random, device=device)

    def whole(below: int, *shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
        return torch.randint(0, below, (rows, *shape), generator=random, device=device, dtype=dtype)

    frame = (len(schema.cameras), *next(iter(schema.cameras.values())))
    return {
        "images": whole(256, *frame, dtype=torch.uint8),
        "future_images": whole(256, horizons, *frame, dtype=torch.uint8),
        "proprio": normal(schema.proprio_width),
        "future_proprio": normal(horizons, schema.proprio_width),
        "words": 1 + whole(500, words),
        "action": normal(size.policy.chunk, schema.action_width),
        "chunk_valid": torch.ones(rows, size.policy.chunk, dtype=torch.bool, device=device),
        "future_valid": torch.ones(rows, horizons, dtype=torch.bool, device=device),
        "indicator": whole(2),
        "fold": whole(2),
        "remaining": whole(2).float(),
        "world_tokens": normal(*size.token_shape),
    }
