"""Action chunks as discrete tokens, in the manner of FAST (Pertsch et al. 2025, 2501.09747).

A chunk in network units is transformed by a cosine transform over its steps, each dimension by itself; coefficients are
scaled and rounded, laid out in a row with the lowest frequencies of all dimensions first, and byte-pair encoded with
merges learnt from the data at hand. Smooth chunks become few tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ramp.data.bpe import BytePairs
from ramp.data.dct import dct, dct_matrix, inverse_dct
from ramp.errors import Invalid

LIMIT = 3.0
"""Network units at which a chunk is cut before it is encoded, as proprioception is: 1 is the 99th percentile."""
SCALE = 10.0
"""Steps of the quantiser per unit of a coefficient (FAST's own value)."""
FIELDS = ("chunk", "width", "scale", "pairs")


@dataclass(frozen=True, kw_only=True)
class ActionTokenizer:
    """For chunks [H, A] of one length and width. Any chunk can be encoded: by Parseval no coefficient of a cut chunk
    exceeds LIMIT * sqrt(H), so the alphabet is known without data; data only shape the merges.

    Example: tokenizer = ActionTokenizer.fit(chunks, size=512); tokenizer.decode(tokenizer.encode(chunks)[0])
    """

    chunk: int  # H
    width: int  # A
    scale: float
    pairs: BytePairs

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise Invalid("action tokens", f"a scale of {self.scale}", "give a number above 0")
        needed = alphabet(self.chunk, self.scale)
        if self.pairs.symbols != needed:
            raise Invalid("action tokens", f"an alphabet of {self.pairs.symbols}", f"chunk and scale need {needed}")

    @classmethod
    def fit(cls, chunks: np.ndarray, *, size: int, scale: float = SCALE) -> Self:
        """From chunks float32 [N, H, A] in network units; at most `size` ids.

        Raises Invalid where there is nothing or something not finite, or `size` is below the alphabet.
        """
        if chunks.ndim != 3 or chunks.size == 0:
            raise Invalid("chunks", f"shape {chunks.shape}", "give at least one chunk [N, H, A]")
        symbols = alphabet(chunks.shape[1], scale)
        if size < symbols:
            raise Invalid("size", size, f"give {symbols} or more: the alphabet alone needs as many ids")
        pairs = BytePairs.train(_quantise(chunks, scale).tolist(), symbols=symbols, size=size)
        return cls(chunk=chunks.shape[1], width=chunks.shape[2], scale=scale, pairs=pairs)

    @property
    def size(self) -> int:
        """How many ids there are."""
        return self.pairs.size

    @property
    def error_bound(self) -> float:
        """No number of a chunk within LIMIT comes back further away than this: half a quantiser step in every
        frequency, at the worst step of the chunk. The root mean square error stays below 1 / (2 scale) itself."""
        return float(np.abs(dct_matrix(self.chunk)).sum(axis=0).max()) / (2.0 * self.scale)

    def encode(self, chunks: np.ndarray) -> list[list[int]]:
        """Ids of each chunk float32 [N, H, A] in network units. Raises Invalid for another shape or nan or infinity."""
        if chunks.shape[1:] != (self.chunk, self.width):
            raise Invalid("chunks", f"shape {chunks.shape}", f"give chunks [N, {self.chunk}, {self.width}]")
        return self.pairs.encode(_quantise(chunks, self.scale).tolist())

    def decode(self, ids: Sequence[int]) -> np.ndarray:
        """The chunk float32 [H, A] that `ids` stand for. Raises Invalid where they do not make up a whole chunk."""
        symbols = np.array(self.pairs.decode(ids), np.float64)
        if len(symbols) != self.chunk * self.width:
            raise Invalid("ids", f"{len(symbols)} coefficients", f"a chunk has {self.chunk * self.width}")
        coefficients = (symbols - self.pairs.symbols // 2) / self.scale
        return inverse_dct(coefficients.reshape(self.chunk, self.width)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, for manifests."""
        return {"chunk": self.chunk, "width": self.width, "scale": self.scale, "pairs": self.pairs.to_dict()}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of to_dict. Raises Invalid for missing or unknown fields and for parts that do not fit."""
        if set(plain) != set(FIELDS):
            raise Invalid("action tokens", sorted(plain), f"exactly these fields: {', '.join(FIELDS)}")
        pairs = BytePairs.from_dict(plain["pairs"])
        return cls(chunk=int(plain["chunk"]), width=int(plain["width"]), scale=float(plain["scale"]), pairs=pairs)


def alphabet(chunk: int, scale: float) -> int:
    """How many values a rounded coefficient of a cut chunk may have: 2 ceil(scale LIMIT sqrt(H)) + 1."""
    return 2 * int(np.ceil(scale * LIMIT * np.sqrt(chunk))) + 1


def _quantise(chunks: np.ndarray, scale: float) -> np.ndarray:
    """int64 [N, H * A], from 0: rounded coefficients, low frequencies first and the dimensions of one side by side."""
    if not np.isfinite(chunks).all():
        raise Invalid("chunks", "not finite", "drop steps with nan or infinite actions")
    cut = np.clip(chunks.astype(np.float64), -LIMIT, LIMIT)
    rounded = np.rint(dct(cut) * scale).astype(np.int64)
    return rounded.reshape(len(chunks), -1) + alphabet(chunks.shape[1], scale) // 2
