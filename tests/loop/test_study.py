"""Comparisons on the test world: every process is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.types import NEGATIVE, Kind
from services.clients.registry import DirectoryRegistry
from services.conductor.study import arms, value_table, values
from services.conductor.study.cells import cell
from services.conductor.study.data import cells_of, data
from services.conductor.study.field import START as STAGE2
from services.conductor.study.plan import START, Arm, Plan
from services.conductor.study.table import rows
from services.conductor.study.value_plan import ValuePlan

pytestmark = [pytest.mark.loop, pytest.mark.timeout(600), pytest.mark.xdist_group("study")]

PLAN = Plan(
    arms=(
        Arm(name=START, of=START),
        Arm(name="awr", settings=("training.algorithm=awr",)),
        Arm(name="ramp", settings=("training.algorithm=ramp",)),
        Arm(name="efficient", of="ramp", efficient=True),
        Arm(name="bad", of="ramp", indicator=NEGATIVE),
        Arm(name="alone", settings=("training.algorithm=recap", "tasks=count-down")),
    ),
    against="ramp",
    recipe="counting",
    seeds=(0,),
    episodes=1,
    updates=4,
    collect=("training.algorithm=bc", "stages.joint_updates=6", "evaluation.episodes_per_task=1"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of all comparisons here: they share their data, as a user's do."""
    return tmp_path_factory.mktemp("comparisons")


def test_a_comparison_goes_through_and_a_second_start_measures_nothing_again(folder: Path) -> None:
    cells = arms.measure(PLAN, folder, "methods")
    names = {row["name"] for row in rows(PLAN, cells)}
    assert {"start, all tasks", "awr, all tasks", "ramp against efficient, same starts"} <= names
    assert {"alone, count-down", "ramp against alone, same starts"} <= names
    assert not {"alone, all tasks", "alone, count-up"} & names
    registry = DirectoryRegistry(data(folder, 0).registry)
    versions = {arm.name: cells.get(cell(0, arm.name))["version"] for arm in PLAN.arms}  # type: ignore[index]
    assert versions[START] == registry.resolve(Kind.POLICY, STAGE2)
    assert versions["bad"] == versions["efficient"] == versions["ramp"]
    assert registry.manifest(Kind.POLICY, versions["alone"])["tasks"] == ["count-down"]
    for method in ("awr", "ramp"):
        manifest = registry.manifest(Kind.POLICY, versions[method])
        assert (manifest["algorithm"], manifest["update"], manifest["parent"]) == (method, 4, versions[START])
    published = registry.versions(Kind.POLICY)
    arms.measure(PLAN, folder, "methods")
    assert registry.versions(Kind.POLICY) == published


def test_value_models_are_compared_on_the_data_of_a_run_and_a_second_start_measures_nothing_again(folder: Path) -> None:
    plan = ValuePlan(recipe="counting", seeds=(0,), held_out=0.3, updates=6, collect=PLAN.collect)
    cells = values.measure(plan, folder, "values")
    table = {row["name"]: row for row in value_table.rows(plan, cells)}
    for arm in [each.name for each in plan.arms]:
        whole, tasks = table[f"{arm}, all tasks"], [table[f"{arm}, {task}"] for task in ("count-up", "count-down")]
        assert whole["frames"] == sum(row["frames"] for row in tasks) > 0
        assert whole["mae"] == pytest.approx(sum(row["mae"] for row in tasks) / 2, abs=1e-4)
        assert 0.0 <= whole["mae"] <= 1.0
        assert whole["seconds_per_frame"] > 0
    assert {name for name in table if "has learnt" in name} == {
        f"{arm}, frames that {which} has learnt"
        for arm in ("wm-value-only", "wm-state+value")
        for which in ("this value output", "only the other output", "neither output")
    }
    assert "wm-state+value against wm-value-only, same episodes" in table
    written = {path: path.stat().st_mtime_ns for path in cells_of(folder, "values").rglob("*.json")}
    values.measure(plan, folder, "values")
    assert written == {path: path.stat().st_mtime_ns for path in cells_of(folder, "values").rglob("*.json")}
