"""What both sizes of the policy share: how they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ramp.errors import Invalid
from ramp.models.flow import guide, integrate
from ramp.models.vla.thought import write_out
from ramp.types import UNLABELLED

if TYPE_CHECKING:
    from ramp.models.vla.config import PolicyConfig
    from ramp.types import StepSchema


class ChunkPolicy(nn.Module):
    """pi(a | o, z, I, l) over action chunks, whatever the networks are.

    A size brings `observe`, which computes once per observation what a chunk depends on besides its noise, `forward`,
    which is called as (x [B, H, A], tau [B], that context) and answers a velocity, and `hidden_beside` for guidance;
    and `follow` and `draw` for embodied chain of thought, where config.thought says that it has learnt any.
    """

    config: PolicyConfig
    schema: StepSchema
    token_shape: tuple[int, int]  # JointModel.token_shape of the world model whose tokens condition it

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

    def follow(self, written: Tensor, context: Any) -> Tensor:
        """Logits float32 [B, L, ids of thoughts] of the token behind each of `written`, int64 [B, L]."""
        raise NotImplementedError

    def draw(self, context: Any) -> Tensor:
        """The gripper's track float32 [B, 10, 2] (ramp/data/track.py)."""
        raise NotImplementedError

    @torch.no_grad()
    def think(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """What the policy writes, int64 [B, L] (ramp/data/thoughts.py), and the track it draws, float32 [B, 10, 2].

        `act` does not wait for either. Raises Invalid for a policy that has not learnt to think.
        """
        if not self.config.thought:
            raise Invalid("policy.thought", False, "this policy was not trained to think; train one with true")
        rows, device = len(tensors["proprio"]), tensors["proprio"].device
        context = self.observe(tensors, None, torch.full((rows,), UNLABELLED, device=device))
        written = write_out(lambda so_far: self.follow(so_far, context), rows, self.config.thought_length, device)
        return written, self.draw(context)
