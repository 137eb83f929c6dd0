"""LeRobot folders that the settings name, as tables beside the server's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ramp.datasets.dataset import OUTCOMES, Reading
from ramp.datasets.mounted import mount
from ramp.errors import Invalid
from ramp.replay.table import Table


def mounted_tables(mounts: tuple[str, ...]) -> Iterator[Table]:
    """One per NAME:FOLDER or NAME:FOLDER:OUTCOME. Raises Invalid."""
    for text in mounts:
        name, _, rest = text.partition(":")
        folder, marked, outcome = rest.partition(":")
        if not name or not folder or (marked and outcome not in OUTCOMES):
            remedy = f"write NAME:FOLDER, or NAME:FOLDER:OUTCOME with one of {', '.join(OUTCOMES)}"
            raise Invalid("replay.mounts", text, remedy)
        yield mount(name, Path(folder), Reading(outcome=outcome or None))  # type: ignore[arg-type]
