"""What a shard has promised by its answers, and what it may have done of an act that it has not answered yet."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Act(NamedTuple):
    """batches ((id, how many), ...); end, abort id; delete (id, ...); annotate (version, (id, ...), extends); snapshot,
    drop name; view (name, (id, ...)); drop_view name; and what promises nothing: keep, scrub, checkpoint, restart."""

    kind: str
    what: Any = ()


@dataclass
class Promises:
    batches: dict[str, int] = field(default_factory=dict)  # acknowledged, of every episode
    ended: list[str] = field(default_factory=list)  # in order, the deleted ones too
    aborted: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    labels: tuple[int, frozenset[str]] = (0, frozenset())  # of which world model, which episodes
    snapshots: dict[str, tuple[list[str], tuple[int, frozenset[str]]]] = field(default_factory=dict)
    views: dict[str, tuple[str, ...]] = field(default_factory=dict)  # name -> ids, the deleted ones too

    @property
    def alive(self) -> list[str]:
        """Ended and not deleted, oldest first."""
        return [name for name in self.ended if name not in self.deleted]

    @property
    def open(self) -> list[str]:
        return [name for name in self.batches if name not in self.aborted and name not in self.ended]

    def keep(self, act: Act) -> None:
        """From now on it counts."""
        kind, what = act
        if kind == "batches":
            self.batches.update(what)
        elif kind == "end":
            self.ended.append(what)
        elif kind == "abort":
            self.aborted.add(what)
        elif kind == "delete":
            self.deleted |= set(what)
        elif kind == "annotate":
            version, names, extends = what
            self.labels = (version, frozenset(names) | (self.labels[1] if extends else frozenset()))
        elif kind == "snapshot":
            self.snapshots[what] = (self.alive, self.labels)
        elif kind == "drop":
            self.snapshots.pop(what)
        elif kind == "view":
            self.views[what[0]] = what[1]
        elif kind == "drop_view":
            self.views.pop(what)

    def with_(self, act: Act | None) -> Promises:
        """As it would be if the act had been answered."""
        other = deepcopy(self)
        if act is not None:
            other.keep(act)
        return other


def told(said: Iterable[tuple[str, Act]]) -> tuple[Promises, Act | None]:
    """From ("ask", act) and ("done", act), in order: the promises, and the act that was asked for and not answered."""
    promises, pending = Promises(), None
    for word, act in said:
        pending = act if word == "ask" else None
        if word == "done":
            promises.keep(act)
    return promises, pending
