"""What both sizes of the policy share: how they are asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ramp.models.vla.config import PolicyConfig
    from ramp.models.vla.thought import Thought
    from ramp.types import StepSchema


class ChunkPolicy(nn.Module):
    """pi(a | o, z, I, l) over action chunks, whatever the networks are.

    A size brings `observe`, which computes once per observation what a chunk depends on besides its noise, `forward`,
    which is called as (x [B, H, A], tau [B], that context) and answers a velocity, and `act`, which integrates it.
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

    def act(
        self,
        tensors: Mapping[str, Tensor],
        world_tokens: Tensor | None,
        indicator: Tensor,
        *,
        generator: torch.Generator,
    ) -> Tensor:
        """A normalised action chunk float32 [B, H, A]."""
        raise NotImplementedError

    def think(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Written tokens int64 [B, L] and drawn points float32 [B, 10, 2], where there are heads for thought."""
        raise NotImplementedError
