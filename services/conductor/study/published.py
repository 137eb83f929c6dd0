"""A finished comparison as a result that BENCHMARKS.md is made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from services.conductor.machine import commit, describe
from services.conductor.record import Result, Row, save, without_host


def publish(name: str, command: str, seeds: Sequence[int], rows: Sequence[Row], cells: Path, out: Path) -> Path:
    """Write `out`/NAME.json; its path. `seconds` are those that the cells took together."""
    taken = [json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in sorted(cells.glob("seed-*/*.json"))]
    result = Result(
        name=name,
        command=command,
        commit=commit(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=without_host(describe()),
        seeds=tuple(seeds),
        seconds=round(sum(taken), 1),
        rows=tuple(rows),
    )
    return save(result, out)
