"""Cloning, AWR, RECAP and RAMP from the same start, on the same data, for as many updates (PAPERS: Fig. 15 of RAMP).

    per seed:  `ramp run study`  ->  data, world model, cloned policy  ->  each method: train, try on held-out starts

Each seed's work runs in a process of its own, because Ray starts once in a process.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ramp.errors import RampError
from services.common.settings import child_environment
from services.conductor.journal import read
from services.conductor.ledger import fold
from services.conductor.rundir import Lock, RunDir
from services.conductor.study.cells import Cells
from services.conductor.study.field import Field, opened, outcome
from services.conductor.study.plan import START, Plan


def measure(plan: Plan, folder: Path) -> Cells:
    """Whatever of the plan is not measured yet. Raises RampError; started again, it goes on with the missing cells."""
    cells = Cells(folder / "cells", plan.plain())
    for seed in plan.seeds:
        todo = [arm for arm in (START, *plan.methods) if cells.get(cell(seed, arm)) is None]
        if todo:
            collect(plan, folder, seed)
            _in_own_process(plan, folder, seed, todo)
    return cells


def cell(seed: int, arm: str) -> str:
    """A cell's name."""
    return f"seed-{seed}/{arm}"


def data(folder: Path, seed: int) -> RunDir:
    """Where the data of a seed lie."""
    return RunDir((folder / f"seed-{seed}").resolve())


def collect(plan: Plan, folder: Path, seed: int) -> None:
    """Make the data of a seed, or go on with it, as `ramp run study` does. Raises RampError."""
    rundir = data(folder, seed)
    started = rundir.settings.exists()
    if started and fold(read(rundir.journal)).finished:
        return
    words = ["--resume"] if started else [plan.recipe, *plan.collect, f"seed={seed}"]
    command = [sys.executable, "-m", "services.cli.main", "run", "--dir", str(rundir.path), *words]
    if subprocess.run(command, env=child_environment(), check=False).returncode:
        raise RampError(f"the data of seed {seed} were not finished; start again to go on with {rundir.path}")


def _in_own_process(plan: Plan, folder: Path, seed: int, todo: list[str]) -> None:
    child = multiprocessing.get_context("spawn").Process(target=_measure_arms, args=(plan, folder, seed, todo))
    child.start()
    child.join()
    if child.exitcode:
        raise RampError(f"seed {seed} was not finished (exit code {child.exitcode}); start again to go on")


def _measure_arms(plan: Plan, folder: Path, seed: int, todo: list[str]) -> None:
    rundir, cells = data(folder, seed), Cells(folder / "cells", plan.plain())
    lock, console = Lock(rundir), Console(stderr=True)
    try:
        with opened(rundir, lambda message: console.print(message, style="dim")) as field:
            for arm in todo:
                cells.put(cell(seed, arm), _measure_arm(plan, field, seed, arm, console))
    finally:
        lock.release()


def _measure_arm(plan: Plan, field: Field, seed: int, arm: str, console: Console) -> dict[str, object]:
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bars:
        version = field.start if arm == START else _train(plan, field, f"seed {seed} {arm}", arm, bars)
        bar = bars.add_task(f"seed {seed} {arm}: trying", total=plan.episodes * len(field.settings.tasks))
        episodes = []
        for summary in field.evaluate(version, plan.episodes, plan.first_seed):
            episodes.append(outcome(summary))
            bars.advance(bar)
    return {"version": version, "seconds": time.monotonic() - began, "episodes": episodes}


def _train(plan: Plan, field: Field, name: str, method: str, bars: Progress) -> int:
    bar = bars.add_task(f"{name}: training", total=plan.updates)
    overrides = [f"training.algorithm={method}", f"stages.policy_updates={plan.updates}"]
    return field.train(overrides, lambda update, _: bars.update(bar, completed=update))
