"""What is measured stays measured, and belongs to one plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.errors import Conflict
from services.conductor.study.cells import Cells


def test_a_cell_is_found_again_by_the_next_process(tmp_path: Path) -> None:
    Cells(tmp_path, {"updates": 3}).put("seed-0/awr", {"version": 2})
    again = Cells(tmp_path, {"updates": 3})
    assert again.get("seed-0/awr") == {"version": 2}
    assert again.get("seed-1/awr") is None


def test_another_plan_is_refused_with_what_differs(tmp_path: Path) -> None:
    Cells(tmp_path, {"updates": 3, "seeds": [0]})
    with pytest.raises(Conflict, match=r"plan\.updates.*5.*3.*another --dir"):
        Cells(tmp_path, {"updates": 5, "seeds": [0]})


def test_a_plan_with_tuples_is_the_same_plan_to_the_next_process(tmp_path: Path) -> None:
    plan = {"arms": [{"settings": ("a=1",)}]}
    Cells(tmp_path, plan)
    Cells(tmp_path, plan)


def test_a_half_written_cell_is_none(tmp_path: Path) -> None:
    cells = Cells(tmp_path, {})
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "awr.json.partial").write_text("{")
    assert cells.get("seed-0/awr") is None


def test_a_plan_is_compared_as_json_has_it(tmp_path: Path) -> None:
    for _ in range(2):
        Cells(tmp_path, {"arms": [{"settings": ("value.bins=1",)}], "seeds": (0, 1)})
