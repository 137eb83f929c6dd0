"""A finished comparison as a result that BENCHMARKS.md is made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from services.conductor.machine import commit, describe
from services.conductor.record import Result, Row, save, without_host


def publish(name: str, command: str, seeds: Sequence[int], rows: Sequence[Row], seconds: float, out: Path) -> Path:
    """Write `out`/NAME.json; its path."""
    result = Result(
        name=name,
        command=command,
        commit=commit(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=without_host(describe()),
        seeds=tuple(seeds),
        seconds=round(seconds, 1),
        rows=tuple(rows),
    )
    return save(result, out)
