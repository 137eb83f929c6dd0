"""The joint loss of a policy that thinks before it acts (RAMP Eq. 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn.functional import cross_entropy

from ramp.errors import Invalid
from ramp.models.flow import masked_mean
from ramp.models.vla.chunk_policy import ChunkPolicy


def joint_loss(
    model: ChunkPolicy, tensors: Mapping[str, Tensor], context: Any, flow: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """L = E[ -sum_j M_j log p(x_{j+1} | x_{1:j}) + || f(a^tau) - (a - eps) ||^2 + lambda || GRU(t^) - t ||^2 ].

    `flow` is the second term as the method at hand conditions and weighs it, with the sign of ramp/models/flow.py (Eq.
    1 prints its target the other way round). A policy that does not think has no other term. Each of them is a
    mean over what its mask counts, as the flow's is, and a batch without its labels goes without it. What a mask leaves
    out may be any finite number.
    """
    terms = thought_terms(model, tensors, context) if model.config.thought else {}
    weights = {"words": 1.0, "track": model.config.track_weight}
    loss = sum((weights[name] * term for name, term in terms.items()), start=flow)
    return loss, {name: float(term.detach()) for name, term in {"flow": flow, **terms}.items()}


def thought_terms(model: ChunkPolicy, tensors: Mapping[str, Tensor], context: Any) -> dict[str, Tensor]:
    """The first and the last term, of the labels that there are; lambda is still to come."""
    terms = {}
    if "thought_tokens" in tensors:
        terms["words"] = words_error(model, tensors["thought_tokens"], tensors["thought_mask"], context)
    if "track" in tensors:
        terms["track"] = track_error(model, tensors["track"], tensors["track_valid"], context)
    return terms


def words_error(model: ChunkPolicy, tokens: Tensor, mask: Tensor, context: Any) -> Tensor:
    """Mean of -log p(x_{j+1} | x_{1:j}) over the x_{j+1} that `mask` bool [B, L] (M_CoT) marks; tokens int64 [B, L]."""
    logits = model.follow(tokens[:, :-1], context)
    surprise = cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
    return masked_mean(surprise, mask[:, 1:])


def track_error(model: ChunkPolicy, track: Tensor, valid: Tensor, context: Any) -> Tensor:
    """Mean of the squared error of the points float32 [B, 10, 2] that `valid` bool [B, 10] marks. Raises Invalid."""
    drawn = model.draw(context)
    if track.shape != drawn.shape:
        raise Invalid("track", tuple(track.shape), f"give the points {tuple(drawn.shape)}")
    return masked_mean((drawn - track).square(), valid[..., None])
