"""What both sizes of the policy share: how they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ramp.models.flow import guide, integrate
from ramp.types import UNLABELLED

if TYPE_CHECKING:
    from ramp.models.vla.config import PolicyConfig
    from ramp.models.vla.thought import Thought
    from ramp.types import StepSchema


class ChunkPolicy(nn.Module):
    """pi(a | o, z, I, l) over action chunks, whatever the networks are.

    A size brings `observe`, which computes once per observation what a chunk depends on besides its noise, `forward`,
    which is called as (x [B, H, A], tau [B], that context) and answers a velocity, and `hidden_beside` for guidance.
    """

    config: PolicyConfig
    schema: StepSchema
    token_shape: tuple[int, int]  # JointModel.token_shape of the world model whose tokens condition it
    thought: Thought | None  # heads for embodied chain of thought, where there are any

    def observe(
        self,
        tensors: Mapping[str, Tensor],
        world_tokens: Tensor | None,
        indicator: Tensor,
        *,
        world_visible: Tensor | None = None,
    ) -> Any:
        """Context of a batch; see `VLAPolicy.observe`."""
        raise NotImplementedError

    def hidden_beside(self, context: Any) -> Any:
        """A context of 2 B rows: these, then the same with the indicator hidden."""
        raise NotImplementedError

    @torch.no_grad()
    def act(
        self,
        tensors: Mapping[str, Tensor],
        world_tokens: Tensor | None,
        indicator: Tensor,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """A normalised action chunk float32 [B, H, A]: Euler from noise to data in config.ode_steps.

        With config.guidance beta other than 1 and a shown indicator, the velocity is f(.) + beta (f(I) - f(.)), f(.)
        being the one with I hidden (classifier-free guidance, RECAP); the expert then has twice the rows.
        """
        context, beta = self.observe(tensors, world_tokens, indicator), self.config.guidance
        shape = (len(indicator), self.config.chunk, self.schema.action_width)
        start = torch.randn(shape, generator=generator, device=context.condition.device) * self.config.start_scale
        if beta == 1.0 or bool((indicator == UNLABELLED).all()):
            return integrate(lambda x, tau: self(x, tau, context), start, self.config.ode_steps)
        both = self.hidden_beside(context)
        return integrate(guide(lambda x, tau: self(x, tau, both), beta), start, self.config.ode_steps)

    def think(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Written tokens int64 [B, L] and drawn points float32 [B, 10, 2], where there are heads for thought."""
        raise NotImplementedError
