"""From what arms have said to the rows of Table 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ramp.errors import Conflict
from services.conductor.study.cells import Cells, cell
from services.conductor.study.value_plan import ARMS, ValuePlan
from services.conductor.study.value_table import rows

PLAN = ValuePlan(seeds=(0, 1), arms=(ARMS[1], ARMS[3]))
TRUTH = {"near": [0.2, 0.1], "far": [0.8, 0.6, 0.4]}


def said(*, near: float, far: float, seconds: float = 0.01) -> dict[str, Any]:
    """An arm that is so much too high on two episodes of each task."""
    off = {"near": near, "far": far}
    episodes = [
        {"episode": f"{task}-{i}", "task": task, "predicted": [x + off[task] for x in truth], "remaining": truth}
        for task, truth in TRUTH.items()
        for i in range(2)
    ]
    parts = {"learnt_from": 4, "episodes": episodes, "learnt": []}
    return {"seconds": 1.0, "seconds_per_frame": seconds, "parameters": 7, **parts}


def with_outputs(*, learnt: float, other: float, neither: float) -> dict[str, Any]:
    """A world model whose outputs err by so much on what they have learnt themselves, on what only the other one has,
    and on what is held out."""
    found = said(near=0.0, far=0.0)
    found["learnt"] = [each | {"label": _off(each, other), "other": _off(each, learnt)} for each in found["episodes"]]
    found["episodes"] = [each | {"label": _off(each, neither), "other": _off(each, 0.9)} for each in found["episodes"]]
    return found


def _off(episode: dict[str, Any], error: float) -> list[float]:
    return [x + error for x in episode["remaining"]]


@pytest.fixture
def cells(tmp_path: Path) -> Cells:
    found = Cells(tmp_path, PLAN.plain())
    found.put(cell(0, "vlm-scalar"), said(near=0.1, far=0.3))
    found.put(cell(1, "vlm-scalar"), said(near=0.1, far=0.5, seconds=0.03))
    for seed in PLAN.seeds:
        found.put(cell(seed, "wm-state+value"), said(near=0.1, far=0.1))
    return found


def test_figures_are_averages_over_tasks_and_seeds(cells: Cells) -> None:
    row = next(each for each in rows(PLAN, cells) if each["name"] == "vlm-scalar, all tasks")
    assert row["mae"] == pytest.approx(((0.1 + 0.3) / 2 + (0.1 + 0.5) / 2) / 2)
    assert row["mse"] == pytest.approx(((0.01 + 0.09) / 2 + (0.01 + 0.25) / 2) / 2)
    assert row["rmse"] == pytest.approx(0.25)
    assert row["kendall"] == 1.0
    assert (row["seconds_per_frame"], row["frames"], row["episodes"]) == (0.02, 20, 8)
    assert row["mae_by_seed"] == "0.2000 0.3000"
    assert row["mae_interval"] == "0.2500 to 0.2500"


def test_every_arm_has_a_row_over_all_and_one_per_task(cells: Cells) -> None:
    table = {each["name"]: each for each in rows(PLAN, cells)}
    assert list(table)[:2] == ["vlm-scalar, all tasks", "wm-state+value, all tasks"]
    assert (table["vlm-scalar, far"]["mae"], table["vlm-scalar, near"]["mae"]) == (0.4, 0.1)
    assert table["wm-state+value, far"]["frames"] == 12


def test_joint_prediction_is_compared_on_the_same_episodes(cells: Cells) -> None:
    row = next(each for each in rows(PLAN, cells) if "against" in each["name"])
    assert row["name"] == "wm-state+value against vlm-scalar, same episodes"
    assert (row["mae_difference"], row["interval"]) == ("-0.1500", "-0.1500 to -0.1500")


def test_what_each_value_output_knows_of_what_it_and_the_other_have_learnt_stands_beside_the_held_out(
    cells: Cells,
) -> None:
    for seed, leak in zip(PLAN.seeds, (0.02, 0.04), strict=True):
        cells.put(cell(seed, "wm-state+value"), with_outputs(learnt=0.01, other=leak, neither=0.05))
    table = {each["name"]: each for each in rows(PLAN, cells)}
    parts = {
        "frames that this value output has learnt": 0.01,
        "frames that only the other output has learnt": 0.03,
        "frames that neither output has learnt": 0.05,
    }
    for part, mae in parts.items():
        row = table[f"wm-state+value, {part}"]
        assert row["mae"] == pytest.approx(mae)
        assert (row["frames"], row["episodes"]) == (20, 8)
    assert not any("learnt" in name for name in table if name.startswith("vlm"))


def test_arms_that_were_tried_on_different_episodes_are_not_compared(cells: Cells) -> None:
    other = said(near=0.1, far=0.1)
    other["episodes"][0]["episode"] = "near-9"
    cells.put(cell(1, "wm-state+value"), other)
    with pytest.raises(Conflict, match="different ones"):
        rows(PLAN, cells)


def test_values_without_an_order_have_no_tau_that_json_could_not_hold(tmp_path: Path) -> None:
    plan, constant = ValuePlan(seeds=(0,), arms=ARMS[1:2]), said(near=0.0, far=0.0)
    for episode in constant["episodes"]:
        episode["predicted"] = [0.5] * len(episode["predicted"])
    found = Cells(tmp_path, plan.plain())
    found.put(cell(0, "vlm-scalar"), constant)
    assert rows(plan, found)[0]["kendall"] == "-"


def test_a_missing_cell_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="seed-0/vlm-scalar"):
        rows(PLAN, Cells(tmp_path, PLAN.plain()))
