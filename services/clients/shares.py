"""Whose turn it is among shards that shall be drawn from in proportion to what they hold."""

from __future__ import annotations

from collections.abc import Collection, KeysView

DEBT = 4.0  # draws; more is not made up for to a shard that was late


class Shares:
    """With every draw each shard earns its share, and the drawn one pays 1. The turn is the richest one's.

    So after any number of draws no shard is further than about one from its share, but for those that were late.
    """

    def __init__(self) -> None:
        self._weights: dict[str, float] = {}
        self._earned: dict[str, float] = {}

    def set(self, name: str, weight: float) -> None:
        """What a shard holds; 0: nothing is to be drawn from it."""
        self._weights[name] = weight
        if weight:
            self._earned.setdefault(name, 0.0)
        else:
            self._earned.pop(name, None)

    def of(self, name: str) -> float:
        """Its part of all draws, in [0, 1]."""
        return self._weights[name] / sum(self._weights.values())

    def turn(self, among: Collection[str]) -> str | None:
        """The richest of these; None where nothing is to be drawn from any."""
        return max((name for name in self._earned if name in among), key=self._earned.__getitem__, default=None)

    @property
    def members(self) -> KeysView[str]:
        """Those that are drawn from."""
        return self._earned.keys()

    def drew(self, name: str) -> None:
        """One draw was made from that shard."""
        for each in self._earned:
            self._earned[each] = min(self._earned[each] + self.of(each), DEBT)
        self._earned[name] = max(self._earned[name] - 1.0, -DEBT)
