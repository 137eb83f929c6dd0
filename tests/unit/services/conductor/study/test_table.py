"""From episodes to the rows that are printed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from services.conductor.study.cells import Cells, cell
from services.conductor.study.plan import START, Arm, Plan
from services.conductor.study.table import rows, score

PLAN = Plan(
    arms=(Arm(name=START, of=START), Arm(name="bc"), Arm(name="ramp")), against="ramp", seeds=(0, 1), episodes=2
)


def episodes(wins: int, count: int = 4) -> list[dict[str, Any]]:
    """Two tasks in turn; the first `wins` of them succeed, after 0.5 s; the others take 2.5 s."""
    return [
        {
            "task": f"task-{i % 2}",
            "seed": i // 2,
            "success": i < wins,
            "steps": 40,
            "seconds": 0.5 if i < wins else 2.5,
            "decision_s": 0.01,
        }
        for i in range(count)
    ]


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    found = Cells(tmp_path, PLAN.plain())
    for seed in PLAN.seeds:
        for arm, wins in (("start", 0), ("bc", 1), ("ramp", 4)):
            found.put(cell(seed, arm), {"version": 1, "episodes": episodes(wins)})
    return found


def test_every_arm_has_a_row_over_all_and_one_per_task(cells: Cells) -> None:
    names = [row["name"] for row in rows(PLAN, cells)]
    assert names[:3] == ["start, all tasks", "bc, all tasks", "ramp, all tasks"]
    assert {"bc, task-0", "ramp, task-1"} <= set(names)


def test_successes_of_all_seeds_are_pooled_and_shown_apart(cells: Cells) -> None:
    bc = next(row for row in rows(PLAN, cells) if row["name"] == "bc, all tasks")
    assert bc["success"].startswith("2/8 (")
    assert bc["by_seed"] == "25.0 % 25.0 %"
    assert bc["seconds_to_success"] == 0.5
    assert bc["ms_per_decision"] == 10.0
    assert bc["successes_per_hour"] == round(2 / ((2 * 0.5 + 6 * 2.5) / 3600))


def test_methods_are_compared_on_the_same_starts(cells: Cells) -> None:
    found = {row["name"]: row for row in rows(PLAN, cells) if "p" in row}
    against = found["ramp against bc, same starts"]
    assert (against["difference"], against["won_alone"], against["lost_alone"]) == ("+75.0 points", 6, 0)
    assert against["p"] == pytest.approx(2 * 0.5**6, rel=0.05)


@pytest.fixture
def alone(tmp_path: Path) -> tuple[Plan, Cells]:
    """Two more arms, of one task: they win both of its starts, and none."""
    extra = [Arm(name=name, settings=("tasks=task-0",)) for name in ("alone", "alone, blind")]
    plan = replace(PLAN, arms=(*PLAN.arms, *extra))
    found = Cells(tmp_path / "alone", plan.plain())
    for seed in plan.seeds:
        for arm, wins in (("start", 0), ("bc", 1), ("ramp", 2)):
            found.put(cell(seed, arm), {"version": 1, "episodes": episodes(wins)})
        for arm, wins in (("alone", 4), ("alone, blind", 0)):
            of_one = [each for each in episodes(wins) if each["task"] == "task-0"]
            found.put(cell(seed, arm), {"version": 1, "episodes": of_one})
    return plan, found


def test_an_arm_of_one_task_stands_beside_the_others_in_that_tasks_rows(alone: tuple[Plan, Cells]) -> None:
    table = {row["name"]: row for row in rows(*alone)}
    assert {name for name in table if name.startswith("alone") and "against" not in name} == {
        "alone, task-0",
        "alone, blind, task-0",
    }
    assert table["alone, task-0"]["success"].startswith("4/4 (")
    assert table["ramp, task-0"]["success"].startswith("2/4 (")
    assert table["alone, task-0"]["by_seed"] == "100.0 % 100.0 %"


def test_an_arm_of_one_task_is_compared_on_its_starts_and_with_the_others_of_that_task(
    alone: tuple[Plan, Cells],
) -> None:
    found = {row["name"]: row for row in rows(*alone) if "p" in row}
    all_and_one = found["ramp against alone, same starts"]
    assert (all_and_one["starts"], all_and_one["difference"]) == (4, "-50.0 points")
    with_and_without = found["alone against alone, blind, same starts"]
    assert (with_and_without["starts"], with_and_without["difference"]) == (4, "+100.0 points")
    assert found["ramp against bc, same starts"]["starts"] == 8


def test_without_a_success_there_is_no_time_to_it() -> None:
    assert score(episodes(0))["seconds_to_success"] == "-"


def test_a_missing_cell_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="seed-0/start"):
        rows(PLAN, Cells(tmp_path, PLAN.plain()))
