"""Rows for people and for programs: a table on the terminal, JSON, CSV, Parquet."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

NOTHING = "-"


def write_json(rows: pa.Table, file: TextIO) -> None:
    """A list of objects; what is not a number is null."""
    json.dump([_plain(row) for row in rows.to_pylist()], file, ensure_ascii=False, default=str)
    file.write("\n")


def write_csv(rows: pa.Table, file: TextIO) -> None:
    """With a header; lists as JSON."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(rows.column_names)
    for row in rows.to_pylist():
        writer.writerow([json.dumps(each) if isinstance(each, list) else each for each in row.values()])


def write_parquet(rows: pa.Table, path: Path) -> None:
    """The whole file or none. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        pq.write_table(rows, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def print_table(rows: pa.Table, columns: Sequence[str], limit: int, console: Console) -> None:
    """The first `limit` rows (0: all) of some columns, and how many there are."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        numeric = pa.types.is_floating(rows[name].type) or pa.types.is_integer(rows[name].type)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    shown = rows.slice(0, limit) if limit else rows
    for row in _texts(shown.select(columns)):
        table.add_row(*(Text(each) for each in row))
    console.print(table)
    more = f", {shown.num_rows} of them shown (--rows 0 shows all)" if shown.num_rows < rows.num_rows else ""
    console.print(f"{rows.num_rows} rows{more}", highlight=False)


def _texts(rows: pa.Table) -> Iterator[list[str]]:
    for row in rows.to_pylist():
        yield [_text(each) for each in row.values()]


def _text(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(_text(each) for each in value) if isinstance(value, list) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
