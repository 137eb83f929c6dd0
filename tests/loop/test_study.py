"""A comparison of methods on the test world: every process is real."""

from __future__ import annotations

from pathlib import Path

import pytest

from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.conductor.study import methods
from services.conductor.study.field import START as STAGE2
from services.conductor.study.plan import START, Plan
from services.conductor.study.table import rows

pytestmark = [pytest.mark.loop, pytest.mark.timeout(600)]

PLAN = Plan(
    recipe="counting",
    seeds=(0,),
    methods=("awr", "ramp"),
    episodes=1,
    updates=4,
    collect=("training.algorithm=bc", "stages.joint_updates=6", "evaluation.episodes_per_task=1"),
)


def test_a_comparison_goes_through_and_a_second_start_measures_nothing_again(tmp_path: Path) -> None:
    cells = methods.measure(PLAN, tmp_path)
    table = {row["name"]: row for row in rows(PLAN, cells)}
    assert {"start, all tasks", "awr, all tasks", "ramp against awr, same starts"} <= set(table)
    registry = DirectoryRegistry(methods.data(tmp_path, 0).registry)
    arms = {arm: cells.get(methods.cell(0, arm)) for arm in (START, *PLAN.methods)}
    assert arms[START]["version"] == registry.resolve(Kind.POLICY, STAGE2)  # type: ignore[index]
    for method in PLAN.methods:
        manifest = registry.manifest(Kind.POLICY, arms[method]["version"])  # type: ignore[index]
        assert (manifest["algorithm"], manifest["update"]) == (method, 4)
        assert manifest["parent"] == arms[START]["version"]  # type: ignore[index]
    assert methods.measure(PLAN, tmp_path).get("seed-0/ramp") == arms["ramp"]
    assert registry.versions(Kind.POLICY) == DirectoryRegistry(methods.data(tmp_path, 0).registry).versions(Kind.POLICY)
