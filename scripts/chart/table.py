"""The table of values in the chart's README, between two marks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from scripts.chart.comments import Entry

BEGIN, END = "<!-- values -->\n", "<!-- end of values -->\n"


def with_table(readme: str, found: Sequence[Entry]) -> str:
    """The page with the table of today. Raises ValueError where it has no marks."""
    if BEGIN not in readme or END not in readme:
        raise ValueError(f"README.md lacks {BEGIN.strip()} and {END.strip()}")
    before, after = readme.split(BEGIN)[0], readme.split(END)[1]
    return before + BEGIN + table(found) + END + after


def table(found: Sequence[Entry]) -> str:
    """In the file's order; a bar in a cell is escaped."""
    rows = [f"| `{each.name}` | {_cell(each.default)} | {each.doc.replace('|', chr(92) + '|')} |" for each in found]
    return "\n".join(["| value | default | what |", "|---|---|---|", *rows]) + "\n"


def _cell(value: Any) -> str:
    return f"`{json.dumps(value)}`" if value != "" else ""
