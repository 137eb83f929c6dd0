"""The policy pi(a | o, z, I, l): backbone, condition and flow-matching action expert (RAMP section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ramp.errors import Invalid
from ramp.models.depth import sees_depth
from ramp.models.flow import twice
from ramp.models.frames import frame_side, to_depth, to_float
from ramp.models.insulation import insulate
from ramp.models.vla.backbone import Backbone
from ramp.models.vla.chunk_policy import ChunkPolicy
from ramp.models.vla.config import PolicyConfig
from ramp.models.vla.expert import ActionExpert
from ramp.models.vla.thought import Thought
from ramp.types import UNLABELLED, StepSchema


@dataclass(frozen=True, kw_only=True)
class Context:
    """All that an action chunk depends on besides its noise; computed once per observation."""

    condition: Tensor  # [B, width]
    memory: list[tuple[Tensor, Tensor]]  # keys and values of the expert's layers
    visible: Tensor | None  # bool [B, M], False for hidden world-model tokens; None where nothing is hidden
    tokens: Tensor  # [B, V + 2, width], the backbone's own, uninsulated: what the thought reads
    summary: Tensor  # [B, width], likewise

    def beside(self, condition: Tensor) -> Context:
        """2 B rows: these, then the same under another condition. The backbone is not asked again."""
        return Context(
            condition=torch.cat([self.condition, condition]),
            memory=[(twice(key), twice(value)) for key, value in self.memory],
            visible=None if self.visible is None else twice(self.visible),
            tokens=twice(self.tokens),
            summary=twice(self.summary),
        )


class VLAPolicy(ChunkPolicy):
    """Small size. `token_shape` is WorldModel.token_shape: (N, D) of the tokens that condition it. It sees depth where
    the schema's frames have it."""

    def __init__(self, config: PolicyConfig, schema: StepSchema, token_shape: tuple[int, int]) -> None:
        super().__init__()
        self.config, self.schema, self.token_shape = config, schema, (token_shape[0], token_shape[1])
        width = config.width
        self.backbone = Backbone(
            views=len(schema.cameras),
            side=frame_side(schema),
            proprio=schema.proprio_width,
            channels=config.channels,
            width=width,
            depth=sees_depth(schema),
        )
        self.future = nn.Sequential(nn.Linear(token_shape[1], width), nn.SiLU(), nn.Linear(width, width))
        self.place = nn.Parameter(0.02 * torch.randn(token_shape[0], width))
        self.indicator = nn.Embedding(3, width)  # 0 negative, 1 positive, 2 hidden
        self.expert = ActionExpert(config, schema.action_width)
        self.thought = Thought(config) if config.thought else None

    def observe(
        self,
        tensors: Mapping[str, Tensor],
        world_tokens: Tensor | None,
        indicator: Tensor,
        *,
        world_visible: Tensor | None = None,
    ) -> Context:
        """Context of a batch.

        `indicator` int64 [B]: 1, 0, or UNLABELLED for hidden. `world_tokens` [B, N, D], or None in efficient mode;
        `world_visible` bool [B] hides them for single samples: an attention mask, so nothing of them gets through.
        What the expert reads of the backbone is insulated by config.insulation.
        Raises Invalid where the tokens have another shape than the policy was built for.
        """
        images = tensors["images"]
        frames = to_float(images)
        if sees_depth(self.schema):
            frames = torch.cat([frames, to_depth(images)], dim=1)
        seen, summary = self.backbone(frames.unflatten(0, images.shape[:2]), tensors["proprio"], tensors["words"])
        tokens = insulate(seen, self.config.insulation)
        visible: Tensor | None = None
        if world_tokens is not None:
            tokens, visible = self._with_future(tokens, world_tokens, world_visible)
        return Context(
            condition=self._condition(summary, indicator),
            memory=self.expert.remember(tokens),
            visible=visible,
            tokens=seen,
            summary=summary,
        )

    def forward(self, x: Tensor, tau: Tensor, context: Context) -> Tensor:
        """Velocity [B, H, A] of the normalised chunk x at flow time tau [B]."""
        return self.expert(x, tau, context.condition, context.memory, context.visible)

    def hidden_beside(self, context: Context) -> Context:
        """As ChunkPolicy has it; the backbone is not asked again."""
        hidden = torch.full(context.summary.shape[:1], UNLABELLED, device=context.summary.device)
        return context.beside(self._condition(context.summary, hidden))

    def _condition(self, summary: Tensor, indicator: Tensor) -> Tensor:
        row = torch.where(indicator == UNLABELLED, 2, indicator)
        return insulate(summary, self.config.insulation) + self.indicator(row)

    def follow(self, written: Tensor, context: Context) -> Tensor:
        """As ChunkPolicy has it, of the head that writes."""
        return cast(Thought, self.thought).writer(written, context.tokens, context.summary)

    def draw(self, context: Context) -> Tensor:
        """As ChunkPolicy has it, of the head that draws."""
        return cast(Thought, self.thought).tracker(context.tokens, context.summary)

    def _with_future(
        self, tokens: Tensor, world_tokens: Tensor, world_visible: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if not self.token_shape[0]:
            remedy = "a world model that predicts the value alone says nothing of the future; hide its tokens"
            raise Invalid("world_tokens", "none", remedy)
        if tuple(world_tokens.shape[1:]) != self.token_shape:
            raise Invalid("world_tokens", tuple(world_tokens.shape[1:]), f"this policy takes {self.token_shape}")
        if world_visible is None:
            return torch.cat([tokens, self.future(world_tokens) + self.place], dim=1), None
        shown = world_visible[:, None]
        known = world_tokens.where(shown[:, :, None], 0.0)  # what is no number would get past a mask of attention
        future = self.future(known) + self.place
        always = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        visible = torch.cat([always, shown.expand(-1, future.shape[1])], dim=1)
        return torch.cat([tokens, future], dim=1), visible
