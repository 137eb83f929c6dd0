"""Two policies on the same starts: does one succeed more often than chance would have it?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from math import comb
from typing import TypeVar

from ramp.errors import Invalid

Start = TypeVar("Start", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """McNemar's exact test. Only the starts on which the two disagree tell them apart.

    Example: Paired(starts=300, first_only=31, second_only=12, p_value=0.0054)
    """

    starts: int
    first_only: int  # starts on which only the first succeeded
    second_only: int
    p_value: float  # two-sided, of "both are equally likely to be the one that succeeds"; 1 without a disagreement

    @property
    def difference(self) -> float:
        """Success rate of the first minus that of the second."""
        return (self.first_only - self.second_only) / self.starts


def mcnemar(first: Mapping[Start, bool], second: Mapping[Start, bool]) -> Paired:
    """Success by start, of two policies (McNemar 1947, exact binomial form).

    Raises Invalid where there are no starts, or not the same ones on both sides.
    """
    if not first or set(first) != set(second):
        raise Invalid("starts", f"{len(first)} and {len(second)}", "evaluate both policies on the same starts")
    won = sum(first[start] and not second[start] for start in first)
    lost = sum(second[start] and not first[start] for start in first)
    return Paired(starts=len(first), first_only=won, second_only=lost, p_value=_two_sided(won, lost))


def _two_sided(heads: int, tails: int) -> float:
    """How often a fair coin would fall at least as unevenly."""
    tosses = heads + tails
    tail = sum(comb(tosses, k) for k in range(min(heads, tails) + 1))
    return min(1.0, 2 * tail / 2**tosses)
