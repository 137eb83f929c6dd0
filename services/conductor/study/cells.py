"""The finished parts of a study, one JSON file each: what is there is not measured again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ramp.errors import Conflict


def cell(seed: int, arm: str) -> str:
    """A cell's name."""
    return f"seed-{seed}/{arm}"


class Cells:
    """A folder of results. Whoever starts a study again with other settings is refused, not given old numbers.

    Example: cells = Cells(Path("runs/bench-methods/cells"), {"updates": 1500}); cells.put("seed-0/awr", {...})
    """

    def __init__(self, folder: Path, plan: dict[str, Any]) -> None:
        """`plan` is JSON: all that the numbers depend on. Raises Conflict where the folder belongs to another plan."""
        self._folder, plan = folder, json.loads(json.dumps(plan))  # tuples become lists, as in what was written
        known = folder / "plan.json"
        if known.exists():
            self._compare(json.loads(known.read_text(encoding="utf-8")), plan)
        else:
            self._write(known, plan)

    def get(self, name: str) -> dict[str, Any] | None:
        """None where the cell is not finished."""
        path = self._path(name)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def put(self, name: str, value: dict[str, Any]) -> None:
        """All of it or nothing, whenever the process dies."""
        self._write(self._path(name), value)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(value, allow_nan=False), encoding="utf-8")
        partial.replace(path)

    def _compare(self, known: dict[str, Any], plan: dict[str, Any]) -> None:
        for name in sorted(set(known) | set(plan)):
            if known.get(name) != plan.get(name):
                remedy = f"{self._folder} holds results of {known.get(name)}; choose another --dir"
                raise Conflict(f"plan.{name}", plan.get(name), remedy)
