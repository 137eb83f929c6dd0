"""The two models in training: how each is made, what a sample of it costs, and what it should reach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import torch

from benchmarks.gpu.flops import Flops, patches, policy_flops, world_flops
from benchmarks.gpu.sizes import Size, new_policy, new_world
from ramp.algorithms import RampAlgorithm, WorldModelAlgorithm
from ramp.models.frames import frame_side
from ramp.models.vla import PaliGemmaPolicy
from ramp.models.world import WanWorldModel
from ramp.models.world.wan_parts import COMPRESSION


class Subject(Protocol):
    """A model in training, of a size."""

    name: str
    aim: float  # MFU
    size: Size
    algorithm: Any  # its loss takes models of this kind only

    @property
    def layers(self) -> int: ...

    def resized(self, layers: int) -> Subject:
        """The same with so many layers."""

    def new(self, device: torch.device) -> PaliGemmaPolicy | WanWorldModel:
        """In training mode, random weights."""

    def flops(self) -> Flops:
        """Of one sample."""

    def tokens(self) -> int:
        """Of one sample, that go through the transformer."""

    def kept(self) -> int:
        """Bytes of one sample's activations, at most: what checkpointing keeps, and the layer at work."""


def trained(size: Size) -> Size:
    """With float32 weights, as the learner keeps them."""
    return replace(size, dtype=torch.float32)


class PolicySubject:
    """The policy with RAMP's loss, the world model's tokens in its prefix."""

    name, aim = "policy", 0.45
    algorithm: Any = RampAlgorithm()

    def __init__(self, size: Size) -> None:
        self.size = size

    @property
    def layers(self) -> int:
        return self.size.policy.layers

    def resized(self, layers: int) -> PolicySubject:
        return PolicySubject(replace(self.size, policy=replace(self.size.policy, layers=layers)))

    def new(self, device: torch.device) -> PaliGemmaPolicy:
        return new_policy(trained(self.size), device).train()

    def flops(self) -> Flops:
        config = self.size.policy
        views = len(self.size.schema.cameras)
        return policy_flops(config, views=views, prompt=config.prompt, tokens=self.size.token_shape)

    def tokens(self) -> int:
        return self._prefix() + 1 + self.size.policy.chunk

    def kept(self) -> int:
        """Every layer keeps its input, Gemma's also keys and values. Gemma's layer at work has its scores five times
        (as float32, two) and the inside of its feed-forward layer six times."""
        config, length = self.size.policy, self._prefix()
        layer = length * (config.language_width + 2 * config.key_value_heads * config.head_width)
        kept = config.layers * (layer + (1 + config.chunk) * config.width)
        kept += config.vision_layers * self._pictures() * config.channels
        return 4 * kept + 2 * (5 * config.heads * length**2 + 6 * length * config.language_ffn)

    def _pictures(self) -> int:
        return len(self.size.schema.cameras) * patches(self.size.policy)

    def _prefix(self) -> int:
        return self._pictures() + self.size.policy.prompt + self.size.token_shape[0]


class WorldSubject:
    """The world model: frozen image tokenizer, and the transformer that is trained."""

    name, aim = "world model", 0.40
    algorithm: Any = WorldModelAlgorithm()

    def __init__(self, size: Size) -> None:
        self.size = size

    @property
    def layers(self) -> int:
        return self.size.world.layers

    def resized(self, layers: int) -> WorldSubject:
        return WorldSubject(replace(self.size, world=replace(self.size.world, layers=layers)))

    def new(self, device: torch.device) -> WanWorldModel:
        model = new_world(trained(self.size), device).train()
        model.train_only("predictor")
        return model

    def flops(self) -> Flops:
        config = self.size.world
        pixels = frame_side(self.size.schema, COMPRESSION * config.latent_patch)
        return world_flops(config, self.size.layout, pixels=pixels, words=self.size.policy.prompt)

    def tokens(self) -> int:
        layout = self.size.layout
        return layout.tokens * (1 + layout.views + layout.frames)

    def kept(self) -> int:
        """Every layer keeps its input, all of them together each token's modulation. The layer at work has that four
        times (as float32, two), twelve inputs and the inside of its feed-forward layer four times."""
        config, count = self.size.world, self.tokens()
        kept = (config.layers + 6) * count * config.width
        return 4 * kept + 2 * count * ((4 * 6 + 12) * config.width + 4 * config.ffn)
