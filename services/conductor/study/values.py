"""RAMP's Table 1, with RECAP's 201 bins: value models taught on the same experience, tried on the same other episodes.

    per seed:  `ramp run study`  ->  data  ->  each value model: train without the held-out episodes, try on them

The data are those of the other comparisons in the same folder. Only a run's replay directory is read.
"""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from services.conductor.rundir import Lock, RunDir
from services.conductor.study.cells import Cells, cell
from services.conductor.study.child import Said, ask
from services.conductor.study.data import cells_of, collect, data
from services.conductor.study.value_plan import ValueArm, ValuePlan


def measure(plan: ValuePlan, folder: Path, name: str) -> Cells:
    """Whatever of the plan is not measured yet. Raises RampError; started again, it goes on with the missing cells.
    Comparisons of other names may share the folder, and the data in it."""
    cells = Cells(cells_of(folder, name), plan.plain())
    for seed in plan.seeds:
        todo = [arm for arm in plan.arms if cells.get(cell(seed, arm.name)) is None]
        if todo:
            collect(plan.recipe, plan.collect, folder, seed)
            _measure_arms(plan, data(folder, seed), seed, todo, cells)
    return cells


def _measure_arms(plan: ValuePlan, rundir: RunDir, seed: int, todo: list[ValueArm], cells: Cells) -> None:
    lock = Lock(rundir)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as bars:
            for arm in todo:
                began = time.monotonic()
                found = _measure_arm(plan, rundir, arm, _Bars(bars, f"seed {seed} {arm.name}"))
                cells.put(cell(seed, arm.name), {"seconds": time.monotonic() - began} | found)
    finally:
        lock.release()


def _measure_arm(plan: ValuePlan, rundir: RunDir, arm: ValueArm, bars: _Bars) -> Said:
    """See services/learner/values.py."""
    words = ["--settings", str(rundir.settings), "--model", arm.model, "--held-out", str(plan.held_out)]
    words += [*arm.settings, f"stages.world_updates={plan.updates}"]
    return ask("services.learner.values", words, rundir.log("values"), bars.tell)


class _Bars:
    """One bar per lesson of an arm."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars, self._name = bars, name
        self._known: dict[str, TaskID] = {}

    def tell(self, said: Said) -> None:
        lesson = said["lesson"]
        if lesson not in self._known:
            self._known[lesson] = self._bars.add_task(f"{self._name}: {lesson}", total=said["of"])
        self._bars.update(self._known[lesson], completed=said["update"])
