"""The policy's full size: PaliGemma-2 3B reads the observation, a flow-matching expert reads it layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ramp.errors import Invalid
from ramp.models.depth import sees_depth
from ramp.models.flow import twice
from ramp.models.frames import letterbox, letterbox_depth
from ramp.models.insulation import insulate
from ramp.models.vla.chunk_policy import ChunkPolicy
from ramp.models.vla.embodiment import EmbodimentLinear
from ramp.models.vla.gemma_expert import GemmaExpert
from ramp.models.vla.language_thought import LanguageThought
from ramp.models.vla.paligemma_config import PaliGemmaConfig
from ramp.models.vla.paligemma_parts import new_backbone, read_backbone
from ramp.models.vla.prefix import KeyValue, Prefix
from ramp.types import UNLABELLED, StepSchema

if TYPE_CHECKING:
    from ramp.models.vla.paligemma_parts import PaliGemmaForConditionalGeneration

WINDOW = 4096
"""Tokens that every second layer of Gemma 2 looks back; a prefix within it needs no other mask than its own."""


@dataclass(frozen=True, kw_only=True)
class PrefixContext:
    """All that an action chunk depends on besides its noise; computed once per observation."""

    condition: Tensor  # [B, width], the indicator: it reaches the actions alone, never the prefix (RECAP)
    state: Tensor  # [B, 1, width], the expert's first token
    embodiment: Tensor  # int64 [B]
    prefix: list[KeyValue]  # every layer's keys and values, uninsulated: what words are written from
    visible: Tensor  # bool [B, M], False for padding and for hidden world-model tokens

    def beside(self, condition: Tensor) -> PrefixContext:
        """2 B rows: these, then the same under another condition. The prefix does not run again."""
        return PrefixContext(
            condition=torch.cat([self.condition, condition]),
            state=twice(self.state),
            embodiment=twice(self.embodiment),
            prefix=[(twice(key), twice(value)) for key, value in self.prefix],
            visible=twice(self.visible),
        )


class PaliGemmaPolicy(ChunkPolicy):
    """Trained and asked exactly like the small `VLAPolicy`; random weights unless a backbone is given.

    The prefix is pictures, instruction and world-model tokens; the expert's tokens are the state and the noisy chunk.
    Where it began with published weights (config.weights) it reads the batch's `prompt`, ids of the backbone's
    vocabulary, 0 for none (`Instructions`). Random weights know no words yet, so the hashed ones of `words` will do.
    `embodiment` int64 [B] is needed where the configuration has several. Build it under `torch.device("meta")` to count
    its parameters. Raises Invalid where the schema does not fit into the slots or the prefix into Gemma's window.
    """

    config: PaliGemmaConfig

    def __init__(
        self,
        config: PaliGemmaConfig,
        schema: StepSchema,
        token_shape: tuple[int, int],
        backbone: PaliGemmaForConditionalGeneration | None = None,
    ) -> None:
        super().__init__()
        check_fit(config, schema, token_shape)
        self.config, self.schema, self.token_shape = config, schema, (token_shape[0], token_shape[1])
        width, robots = config.language_width, config.embodiments
        self.prefix = Prefix(config, backbone or new_backbone(config), depth=sees_depth(schema))
        self.future = nn.Sequential(nn.Linear(token_shape[1], width), nn.SiLU(), nn.Linear(width, width))
        self.place = nn.Parameter(0.02 * torch.randn(token_shape[0], width))
        self.indicator = nn.Embedding(3, config.width)  # 0 negative, 1 positive, 2 hidden
        self.state = EmbodimentLinear(robots, config.slots, config.width)
        self.action = EmbodimentLinear(robots, config.slots, config.width)
        self.expert = GemmaExpert(config)
        self.out = EmbodimentLinear(robots, config.width, config.slots)
        self.thought = LanguageThought(config) if config.thought else None

    @classmethod
    def from_folder(
        cls,
        folder: Path | None,
        config: PaliGemmaConfig,
        schema: StepSchema,
        token_shape: tuple[int, int],
        *,
        dtype: torch.dtype = torch.bfloat16,
    ) -> PaliGemmaPolicy:
        """PaliGemma-2's published weights from a local folder, loaded as `dtype`; random ones, in torch's default
        dtype, where it is None. All else is new in both cases.

        Raises NotFound where the folder holds no model, Invalid where one of another architecture or an incomplete one.
        """
        backbone = None if folder is None else read_backbone(folder, config, dtype)
        return cls(config, schema, token_shape, backbone)

    def observe(
        self,
        tensors: Mapping[str, Tensor],
        world_tokens: Tensor | None,
        indicator: Tensor,
        *,
        world_visible: Tensor | None = None,
    ) -> PrefixContext:
        """Context of a batch; arguments as in `VLAPolicy.observe`.

        Raises Invalid where the tokens have another shape than the policy was built for.
        """
        images, words = tensors["images"], tensors["prompt" if self.config.weights else "words"]
        frames = letterbox(images, self.config.image_side)
        if sees_depth(self.schema):
            frames = torch.cat([frames, letterbox_depth(images, self.config.image_side)], dim=1)
        seen = self.prefix.see(frames.unflatten(0, images.shape[:2]))
        tokens = torch.cat([seen, self.prefix.read(words)], dim=1)
        visible = torch.cat([torch.ones_like(seen[..., 0], dtype=torch.bool), words > 0], dim=1)
        if world_tokens is not None:
            tokens, visible = self._with_future(tokens, visible, world_tokens, world_visible)
        embodiment = tensors["embodiment"] if self.config.embodiments > 1 else torch.zeros_like(indicator)
        return PrefixContext(
            condition=self._condition(indicator),
            state=self.state(self._fill(tensors["proprio"])[:, None], embodiment),
            embodiment=embodiment,
            prefix=self.prefix(tokens, visible),
            visible=visible,
        )

    def forward(self, x: Tensor, tau: Tensor, context: PrefixContext) -> Tensor:
        """Velocity float32 [B, H, A] of the normalised chunk x at flow time tau [B].

        The flow loss's gradient that reaches the prefix is scaled by config.insulation: 0 stops it, 1 lets it pass.
        """
        alpha = self.config.insulation
        memory = [(insulate(key, alpha), insulate(value, alpha)) for key, value in context.prefix]
        tokens = torch.cat([context.state, self.action(self._fill(x), context.embodiment)], dim=1)
        features = self.expert(tokens, tau, context.condition, memory, context.visible)[:, 1:]
        return self.out(features, context.embodiment)[..., : self.schema.action_width].float()

    def follow(self, written: Tensor, context: PrefixContext) -> Tensor:
        """As ChunkPolicy has it, by the language model itself, uninsulated. The expert does not read what is written
        (GigaBrain-0: actions may not attend to action tokens)."""
        return cast(LanguageThought, self.thought).follow(written, self.prefix, context.prefix, context.visible)

    def draw(self, context: PrefixContext) -> Tensor:
        """As ChunkPolicy has it."""
        return cast(LanguageThought, self.thought).draw(self.prefix, context.prefix, context.visible)

    def hidden_beside(self, context: PrefixContext) -> PrefixContext:
        """As ChunkPolicy has it; the prefix does not run again."""
        hidden = torch.full(context.condition.shape[:1], UNLABELLED, device=context.condition.device)
        return context.beside(self._condition(hidden))

    def _condition(self, indicator: Tensor) -> Tensor:
        return self.indicator(torch.where(indicator == UNLABELLED, 2, indicator))

    def _fill(self, x: Tensor) -> Tensor:
        """Numbers [..., m] into the slots [..., slots], the rest 0, in the expert's dtype."""
        return F.pad(x, (0, self.config.slots - x.shape[-1])).to(self.state.weight.dtype)

    def _with_future(
        self, tokens: Tensor, visible: Tensor, world_tokens: Tensor, world_visible: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if tuple(world_tokens.shape[1:]) != self.token_shape:
            raise Invalid("world_tokens", tuple(world_tokens.shape[1:]), f"this policy takes {self.token_shape}")
        shown = torch.ones_like(visible[:, :1]) if world_visible is None else world_visible[:, None]
        known = world_tokens.where(shown[:, :, None], 0.0)  # what is no number would get past a mask of attention
        future = (self.future(known.to(self.place.dtype)) + self.place).to(tokens.dtype)
        return torch.cat([tokens, future], dim=1), torch.cat([visible, shown.expand(-1, future.shape[1])], dim=1)


def check_fit(config: PaliGemmaConfig, schema: StepSchema, token_shape: tuple[int, int]) -> None:
    """Raises Invalid, naming the number, where schema, configuration and world-model tokens do not fit together."""
    for field, width in (("proprio", schema.proprio_width), ("action", schema.action_width)):
        if width > config.slots:
            raise Invalid(field, f"width {width}", f"policy.slots is {config.slots}; give it that many or more")
    if config.heads % config.key_value_heads:
        raise Invalid("policy.heads", config.heads, f"take a multiple of key_value_heads, {config.key_value_heads}")
    length = len(schema.cameras) * (config.image_side // config.image_patch) ** 2 + config.prompt + token_shape[0]
    if length > WINDOW:
        raise Invalid("policy", f"a prefix of {length} tokens", f"Gemma 2 sees {WINDOW}; take fewer cameras or tokens")
