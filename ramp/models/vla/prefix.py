"""The prefix of the mixture of transformers: PaliGemma-2 over pictures, instruction and whatever else is observed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ramp.models.depth import add_depth_kernels
from ramp.models.vla.paligemma_config import PaliGemmaConfig

if TYPE_CHECKING:
    from ramp.models.vla.paligemma_parts import PaliGemmaForConditionalGeneration

KeyValue = tuple[Tensor, Tensor]
"""Keys and values of one layer, each [B, key-value heads, N, head width]; the keys carry their positions."""


class Prefix(nn.Module):
    """Tokens to each layer's keys and values, which the action expert reads, and on to words.

    The layers are transformers' own; they are called one by one, because its caches do not survive recomputation in the
    backward pass.
    """

    def __init__(
        self, config: PaliGemmaConfig, backbone: PaliGemmaForConditionalGeneration, *, depth: bool = False
    ) -> None:
        super().__init__()
        self.backbone = backbone
        if depth:
            add_depth_kernels(backbone.model.vision_tower.get_input_embeddings())
        self.checkpointing = config.checkpointing
        if config.checkpointing:
            backbone.model.vision_tower.activation_checkpointing_enable({"use_reentrant": False})

    @property
    def dtype(self) -> torch.dtype:
        """Of the backbone's weights."""
        return self.backbone.lm_head.weight.dtype

    def see(self, frames: Tensor) -> Tensor:
        """Frames [B, V, 3, side, side] in [-1, 1], with `depth` a fourth channel in [0, 1], to tokens [B, V patches,
        width]."""
        features = self.backbone.model.get_image_features(frames.flatten(0, 1).to(self.dtype)).pooler_output
        return features.unflatten(0, frames.shape[:2]).flatten(1, 2)

    def read(self, words: Tensor) -> Tensor:
        """Token ids int64 [B, W] to tokens [B, W, width]."""
        return self.backbone.model.language_model.embed_tokens(words)

    def forward(self, tokens: Tensor, visible: Tensor) -> list[KeyValue]:
        """Every layer's keys and values of tokens [B, N, width]; visible bool [B, N].

        All tokens see all visible ones. Positions count visible tokens only, from 1 as in PaliGemma, so a hidden token
        changes nothing, not even the distance of the others.
        """
        seen = visible[:, None, None, :].expand(-1, -1, tokens.shape[1], -1)
        _, memory = self._run(tokens, visible.cumsum(dim=1), seen, [])
        return memory

    def write(self, words: Tensor, memory: Sequence[KeyValue], visible: Tensor, of: slice = slice(None)) -> Tensor:
        """Logits float32 [B, L, V] of the token that follows each of `words`, int64 [B, L], behind a prefix; V are the
        ids `of` the vocabulary, all of it unless told otherwise.

        Each word sees the visible prefix, the words before it and itself; the prefix sees none of them.
        """
        length = words.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=words.device).tril()
        hidden = self._behind(self.read(words), memory, visible, causal)
        logits = nn.functional.linear(hidden, self.backbone.lm_head.weight[of]).float()
        cap = self.backbone.config.text_config.final_logit_softcapping
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def ponder(self, tokens: Tensor, memory: Sequence[KeyValue], visible: Tensor) -> Tensor:
        """What becomes of tokens [B, L, width] behind a prefix, which all of them see, as they see each other."""
        length = tokens.shape[1]
        return self._behind(tokens, memory, visible, torch.ones(length, length, dtype=torch.bool, device=tokens.device))

    def _behind(self, tokens: Tensor, memory: Sequence[KeyValue], visible: Tensor, among: Tensor) -> Tensor:
        """The last layer's features [B, L, width] of tokens behind a prefix; `among` bool [L, L] says which of them see
        which others."""
        length = tokens.shape[1]
        before = visible[:, None, None, :].expand(-1, -1, length, -1)
        seen = torch.cat([before, among.expand(len(tokens), 1, -1, -1)], dim=-1)
        positions = visible.sum(dim=1, keepdim=True) + torch.arange(1, length + 1, device=tokens.device)
        hidden, _ = self._run(tokens, positions, seen, memory)
        return self.backbone.model.language_model.norm(hidden)

    def _run(
        self, tokens: Tensor, positions: Tensor, seen: Tensor, memory: Sequence[KeyValue]
    ) -> tuple[Tensor, list[KeyValue]]:
        language = self.backbone.model.language_model
        turns = language.rotary_emb(tokens, positions)
        mask = torch.zeros_like(seen, dtype=tokens.dtype).masked_fill(~seen, torch.finfo(tokens.dtype).min)
        pasts: Sequence[Sequence[Tensor]] = memory or [()] * len(language.layers)
        hidden, kept = tokens, []
        for layer, past in zip(language.layers, pasts, strict=True):
            if self.checkpointing and torch.is_grad_enabled():
                hidden, *own = checkpoint(_through, layer, hidden, mask, turns, past, use_reentrant=False)
            else:
                hidden, *own = _through(layer, hidden, mask, turns, past)
            kept.append((own[0], own[1]))
        return hidden, kept


def _through(
    layer: nn.Module, hidden: Tensor, mask: Tensor, turns: tuple[Tensor, Tensor], past: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """One decoder layer: its output, and the keys and values of the tokens that went through it."""
    noted = _Notebook(past)
    hidden = layer(hidden, position_embeddings=turns, attention_mask=mask, past_key_values=noted)
    return hidden, *noted.own


class _Notebook:
    """What a layer takes for a cache: it adds the past's keys and values and keeps the new ones."""

    def __init__(self, past: Sequence[Tensor]) -> None:
        self.past = past
        self.own: KeyValue

    def update(self, key: Tensor, value: Tensor, *_layer: Any) -> KeyValue:
        self.own = (key, value)
        if not self.past:
            return self.own
        return torch.cat([self.past[0], key], dim=2), torch.cat([self.past[1], value], dim=2)
