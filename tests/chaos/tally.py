"""What a proof has come to so far, over any number of starts: a file each, beside the sources and not among them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from services.conductor.record import Result
from tests.chaos.progress import Row

PEAK = re.compile(r"value|writers|learners|memory_mib|slowest_.*|most_.*")
"""Figures of which the largest counts, not the sum: of all others every piece adds its own."""


@dataclass
class Tally:
    """Of one proof. Pieces are numbered from 0, which is their seed, too."""

    done: int = 0  # in the unit in which the proof counts
    pieces: int = 0
    seconds: float = 0.0
    commits: list[str] = field(default_factory=list)  # whose sources were proved, in order
    date: str = ""  # of the last piece
    rows: list[Row] = field(default_factory=list)

    @classmethod
    def load(cls, file: Path) -> Tally:
        """Where there is none yet, nothing is done."""
        return cls(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else cls()

    def save(self, file: Path) -> None:
        """All of it or nothing, whenever the process ends."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.replace(file)

    def add(self, count: int, seconds: float, commit: str, date: str, rows: Sequence[Row]) -> None:
        """A piece that held."""
        self.rows = [added(one, other) for one, other in zip(self.rows or [{}] * len(rows), rows, strict=True)]
        self.done, self.pieces = self.done + count, self.pieces + 1
        self.seconds, self.date = round(self.seconds + seconds, 1), date
        self.commits += [commit] if commit not in self.commits else []

    def told(self, size: int) -> list[Row]:
        """Its rows as they are published: from where they are, and what a full proof of `size` still lacks."""
        origin: Row = {"commits": ", ".join(each[:10] for each in self.commits), "date": self.date[:10]}
        missing = {"still_to_come": size - self.done} if size > self.done else {}
        return [row | missing | origin for row in self.rows]


def added(one: Row, other: Row) -> Row:
    """The same row of two pieces."""
    both = dict(other)
    for key, value in one.items():
        if key not in other:
            both[key] = value
        elif isinstance(value, int | float):
            both[key] = max(value, other[key]) if PEAK.fullmatch(key) else round(value + other[key], 1)
    return both


def joined(known: Iterable[Result], part: str, rows: Sequence[Row], order: Sequence[str]) -> tuple[Row, ...]:
    """The rows of all proofs, those of `part` new: a row's name begins with its proof's, and they are in that order."""
    kept = [row for result in known for row in result.rows if part_of(row) != part]
    return tuple(sorted([*kept, *rows], key=lambda row: order.index(part_of(row))))


def part_of(row: Row) -> str:
    return str(row["name"]).partition(":")[0]
