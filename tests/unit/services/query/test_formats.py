"""Rows in every form of output."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from services.query import formats

ROWS = pa.table(
    {
        "name": ["a", "b,c", None],
        "tables": [["x"], ["x", "y"], []],
        "rate": [0.123456789, math.nan, None],
        "steps": pa.array([1, 2, 3], pa.int64()),
    }
)


def test_json_has_null_for_what_is_no_number() -> None:
    file = io.StringIO()
    formats.write_json(ROWS, file)

    found = json.loads(file.getvalue(), parse_constant=pytest.fail)
    assert found[0] == {"name": "a", "tables": ["x"], "rate": 0.123456789, "steps": 1}
    assert found[1]["rate"] is None
    assert found[2]["name"] is None


def test_csv_keeps_lists_and_commas() -> None:
    file = io.StringIO()
    formats.write_csv(ROWS, file)

    header, *lines = csv.reader(io.StringIO(file.getvalue()))
    assert header == ["name", "tables", "rate", "steps"]
    assert lines[1] == ["b,c", '["x", "y"]', "nan", "2"]
    assert lines[2] == ["", "[]", "", "3"]


def test_parquet_is_the_same_table_and_a_failure_leaves_nothing(tmp_path: Path) -> None:
    formats.write_parquet(ROWS, tmp_path / "rows.parquet")

    found = pq.read_table(tmp_path / "rows.parquet")
    assert found.column_names == ROWS.column_names
    assert found.drop(["rate"]).to_pylist() == ROWS.drop(["rate"]).to_pylist()
    with pytest.raises(OSError, match="nowhere"):
        formats.write_parquet(ROWS, tmp_path / "nowhere" / "rows.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_the_terminal_shows_the_columns_and_says_what_it_leaves_out() -> None:
    file = io.StringIO()
    formats.print_table(ROWS, ["name", "rate"], 2, Console(file=file, width=60))

    text = file.getvalue()
    assert "0.1235" in text
    assert "tables" not in text
    assert text.splitlines()[-1] == "3 rows, 2 of them shown (--rows 0 shows all)"
    formats.print_table(ROWS, ["name"], 0, Console(file=file, width=60))
    assert file.getvalue().splitlines()[-1] == "3 rows"


def test_square_brackets_are_text_and_no_markup() -> None:
    file = io.StringIO()
    formats.print_table(pa.table({"state[bold]": ["[red]x"]}), ["state[bold]"], 0, Console(file=file, width=60))

    assert "state[bold]" in file.getvalue()
    assert "[red]x" in file.getvalue()
