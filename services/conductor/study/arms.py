"""The arms of a plan: from the same start, on the same data, for as many updates.

    per seed:  `ramp run study`  ->  data, world model, cloned policy  ->  each arm: train, try on held-out starts

Each seed's work runs in a process of its own, because Ray starts once in a process.
"""

from __future__ import annotations

import multiprocessing
import time
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ramp.errors import NotFound, RampError
from services.conductor.rundir import Lock, RunDir
from services.conductor.study.cells import Cells, cell
from services.conductor.study.data import cells_of, collect, data
from services.conductor.study.field import Field, opened, outcome
from services.conductor.study.plan import START, Arm, Plan


def measure(plan: Plan, folder: Path, name: str) -> Cells:
    """Whatever of the plan is not measured yet. Raises RampError; started again, it goes on with the missing cells.
    Comparisons of other names may share the folder, and the data in it."""
    cells = Cells(cells_of(folder, name), plan.plain())
    for seed in plan.seeds:
        todo = [arm for arm in plan.arms if cells.get(cell(seed, arm.name)) is None]
        if todo:
            collect(plan.recipe, plan.collect, folder, seed)
            _in_own_process(plan, data(folder, seed), cells_of(folder, name), seed, todo)
    return cells


def _in_own_process(plan: Plan, rundir: RunDir, cells: Path, seed: int, todo: list[Arm]) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_measure_arms, args=(plan, rundir, cells, seed, todo))
    child.start()
    child.join()
    if child.exitcode:
        raise RampError(f"seed {seed} was not finished (exit code {child.exitcode}); start again to go on")


def _measure_arms(plan: Plan, rundir: RunDir, folder: Path, seed: int, todo: list[Arm]) -> None:
    cells, lock, console = Cells(folder, plan.plain()), Lock(rundir), Console(stderr=True)
    try:
        with opened(rundir, lambda message: console.print(message, style="dim")) as field:
            for arm in todo:
                cells.put(cell(seed, arm.name), _measure_arm(plan, field, cells, seed, arm, console))
    finally:
        lock.release()


def _measure_arm(plan: Plan, field: Field, cells: Cells, seed: int, arm: Arm, console: Console) -> dict[str, object]:
    began, label = time.monotonic(), f"seed {seed} {arm.name}"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        version = _earlier(field, cells, seed, arm) if arm.of else _train(plan, field, label, arm, bars)
        tasks, episodes = arm.tasks or field.settings.tasks, []
        bar = bars.add_task(f"{label}: trying", total=plan.episodes * len(tasks))
        told = partial(field.evaluate, efficient=arm.efficient, indicator=arm.indicator)
        for summary in told(version, tasks, plan.episodes, plan.first_seed):
            episodes.append(outcome(summary))
            bars.advance(bar)
    return {"version": version, "seconds": time.monotonic() - began, "episodes": episodes}


def _earlier(field: Field, cells: Cells, seed: int, arm: Arm) -> int:
    """The policy of the arm that this one tries in another way. Raises NotFound where that stands behind it."""
    if arm.of == START:
        return field.start
    found = cells.get(cell(seed, arm.of))
    if found is None:
        raise NotFound(f"arm {arm.name} tries the policy of {arm.of}, which is not measured; put that one before it")
    return int(found["version"])


def _train(plan: Plan, field: Field, label: str, arm: Arm, bars: Progress) -> int:
    bar = bars.add_task(f"{label}: training", total=plan.updates)
    overrides = [*arm.settings, f"stages.policy_updates={plan.updates}"]
    return field.train(overrides, lambda update, _: bars.update(bar, completed=update))
