"""Byte-pair encoding (Sennrich et al. 2016, 1508.07909) over any small alphabet of whole numbers.

Written out here rather than taken from a library: it is a page, needs no compiled dependency, works on quantised
coefficients without a detour through text, and its whole state is a list of pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from ramp.errors import Invalid

GAP = -1
"""Stands between sequences, so that many are merged at once and none across its end."""


@dataclass(frozen=True, kw_only=True)
class BytePairs:
    """Ids 0 to `symbols` - 1 are the alphabet; id `symbols` + i stands for the two ids of `merges[i]`.

    Example: BytePairs.train([[0, 1, 0, 1]], symbols=2, size=3).encode([[1, 0, 1]]) == [[1, 2]]
    """

    symbols: int
    merges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        for index, pair in enumerate(self.merges):
            if not all(0 <= token < self.symbols + index for token in pair):
                raise Invalid("merges", pair, f"merge {index} may name ids from 0 to {self.symbols + index - 1}")

    @property
    def size(self) -> int:
        """How many ids there are."""
        return self.symbols + len(self.merges)

    @classmethod
    def train(cls, sequences: Sequence[Sequence[int]], *, symbols: int, size: int) -> Self:
        """Merge the most frequent pair (of equals the smallest) until there are `size` ids or no pair occurs twice.

        Raises Invalid where `size` is smaller than the alphabet or a sequence leaves it.
        """
        if size < symbols:
            raise Invalid("size", size, f"give {symbols} or more: the alphabet alone needs as many ids")
        flat, merges = _join(sequences, symbols), []
        for token in range(symbols, size):
            pair, count = _most_frequent(flat, token)
            if count < 2:
                break
            merges.append(pair)
            flat = _merge(flat, pair, token)
        return cls(symbols=symbols, merges=tuple(merges))

    def encode(self, sequences: Sequence[Sequence[int]]) -> list[list[int]]:
        """Ids of each sequence, merges applied in the order they were learnt. Raises Invalid for unknown symbols."""
        flat = _join(sequences, self.symbols)
        for index, pair in enumerate(self.merges):
            flat = _merge(flat, pair, self.symbols + index)
        ends = np.flatnonzero(flat == GAP)
        return [part[part != GAP].tolist() for part in np.split(flat, ends)[:-1]]

    def decode(self, ids: Sequence[int]) -> list[int]:
        """The symbols that `ids` stand for. Raises Invalid for an id that there is not."""
        for token in ids:
            if not 0 <= token < self.size:
                raise Invalid("token", token, f"ids run from 0 to {self.size - 1}")
        return [symbol for token in ids for symbol in self._spelled[token]]

    @cached_property
    def _spelled(self) -> list[tuple[int, ...]]:
        spelled: list[tuple[int, ...]] = [(symbol,) for symbol in range(self.symbols)]
        for left, right in self.merges:
            spelled.append(spelled[left] + spelled[right])
        return spelled

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, for manifests."""
        return {"symbols": self.symbols, "merges": [list(pair) for pair in self.merges]}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of to_dict. Raises Invalid for other fields, or merges that name ids not yet there."""
        if set(plain) != {"symbols", "merges"}:
            raise Invalid("byte pairs", sorted(plain), "exactly these fields: merges, symbols")
        merges = tuple((int(left), int(right)) for left, right in plain["merges"])
        return cls(symbols=int(plain["symbols"]), merges=merges)


def _join(sequences: Sequence[Sequence[int]], symbols: int) -> np.ndarray:
    """All sequences one after the other, int64, a GAP after each."""
    flat = np.array([token for sequence in sequences for token in (*sequence, GAP)], np.int64)
    wrong = (flat < GAP) | (flat >= symbols)
    count_of_gaps = int((flat == GAP).sum())
    if wrong.any() or count_of_gaps != len(sequences):
        raise Invalid("sequence", int(flat[wrong][0]) if wrong.any() else GAP, f"symbols run from 0 to {symbols - 1}")
    return flat


def _most_frequent(flat: np.ndarray, size: int) -> tuple[tuple[int, int], int]:
    """The pair of neighbours that occurs most often (of equals the smallest), and how often."""
    left, right = flat[:-1], flat[1:]
    inside = (left != GAP) & (right != GAP)
    counts = np.bincount(left[inside] * size + right[inside], minlength=1)
    best = int(counts.argmax())
    return (best // size, best % size), int(counts[best])


def _merge(flat: np.ndarray, pair: tuple[int, int], token: int) -> np.ndarray:
    """Each occurrence of `pair`, from the left and without overlap, replaced by `token`."""
    found = np.flatnonzero((flat[:-1] == pair[0]) & (flat[1:] == pair[1]))
    if pair[0] == pair[1] and len(found):
        found = found[_place_in_run(found) % 2 == 0]
    if not len(found):
        return flat
    merged = flat.copy()
    merged[found] = token
    return np.delete(merged, found + 1)


def _place_in_run(positions: np.ndarray) -> np.ndarray:
    """How far each of the ascending positions is from the first of its unbroken run."""
    order = np.arange(len(positions))
    first = np.r_[True, np.diff(positions) > 1]
    return order - np.maximum.accumulate(np.where(first, order, 0))
