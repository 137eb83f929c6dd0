"""The frozen tokenizer's answers, kept: a frame goes through it once, not once an update and world-model version."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from services.common.metrics import LEARNER_FRAMES

LIMIT = 512 << 20  # bytes of latents; beyond it the oldest are forgotten
Key = tuple[str, int]
"""Episode and step: what was seen there. A step without a frame of its own shows the one before."""


class FrameLatents:
    """Latent tokens by frame. Right as long as the tokenizer does not change: `forget` when it does."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit, self._bytes = limit, 0
        self._kept: dict[Key, Tensor] = {}
        self._asked = self._made = 0

    @property
    def kept_share(self) -> float:
        """Share of all frames asked for, so far, that did not go through the tokenizer."""
        return 1.0 - self._made / max(1, self._asked)

    def of(self, keys: Sequence[Key], images: Tensor, tokenize: Callable[[Tensor], Tensor]) -> Tensor:
        """float32 [N, V, n, d] of uint8 frames [N, V, height, width, channels], whose rows are `keys`."""
        fresh = {key: row for row, key in enumerate(keys) if key not in self._kept}
        if fresh:
            made = tokenize(images[list(fresh.values())])
            self._kept.update(zip(fresh, made, strict=True))
            self._bytes += made.nbytes
        self._count(len(keys), len(fresh))
        found = torch.stack([self._kept[key] for key in keys])
        self._shorten()
        return found

    def forget(self) -> None:
        """All of it."""
        self._kept.clear()
        self._bytes = 0

    def _shorten(self) -> None:
        while self._bytes > self._limit:
            self._bytes -= self._kept.pop(next(iter(self._kept))).nbytes

    def _count(self, asked: int, made: int) -> None:
        self._asked, self._made = self._asked + asked, self._made + made
        LEARNER_FRAMES.labels("tokenized").inc(made)
        LEARNER_FRAMES.labels("kept").inc(asked - made)
