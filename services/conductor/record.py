"""Results of measurements as JSON files: what was measured, where, when, by which command, of which source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One benchmark's outcome. A row has a name and numbers; `ratio` is of two figures of the same run."""

    name: str
    command: str
    commit: str
    date: str  # ISO 8601, UTC
    machine: Mapping[str, Any]
    seeds: tuple[int, ...]
    seconds: float  # that it took
    rows: tuple[Row, ...]


def without_host(machine: Mapping[str, Any]) -> dict[str, Any]:
    """What matters of a machine for figures that are published: everything but its name."""
    return {key: value for key, value in machine.items() if key != "host"}


def save(result: Result, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.name}.json"
    path.write_text(json.dumps(asdict(result), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def load(folder: Path) -> list[Result]:
    """All results, by name."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return [Result(**{**raw, "seeds": tuple(raw["seeds"]), "rows": tuple(raw["rows"])}) for raw in read]
