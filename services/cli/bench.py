"""`ramp bench`: the comparisons of the papers, one command each, resumable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from services.conductor.record import Row
    from services.conductor.study.plan import Plan

Quick = Annotated[bool, typer.Option("--quick", help="Show in ten minutes that it works; too short to conclude from.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="How many, from 0.", show_default="3, quick: 1")]
Where = Annotated[Path | None, typer.Option("--dir", "-d", help="Where data and cells lie.", show_default="runs/bench")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder for the result as JSON.", show_default=False)]


def methods(quick: Quick = False, seeds: Seeds = None, dir_: Where = None, out: Out = None) -> int:
    """Cloning, AWR, RECAP and RAMP: same start, same data, same updates, on six Meta-World tasks.

    Per seed: demonstrations and rollouts with corrections are collected by `ramp run study`; then every method trains
    from the cloned policy for the same number of updates and is tried on the same held-out starts. Prints success with
    95 % Wilson intervals, time to success, successes per hour, and McNemar's test of RAMP against each other method.

    Stopped or killed, the same command goes on with what is missing.

    \b
    Examples:
      ramp bench methods --quick
      ramp bench methods
      ramp bench methods --seeds 5 --dir runs/five
      ramp bench methods --out benchmarks/results
    """
    from services.conductor.study import plan

    return _compare("methods", plan.methods(), quick, seeds, dir_, out)


def conditioning(quick: Quick = False, seeds: Seeds = None, dir_: Where = None, out: Out = None) -> int:
    """World-model tokens: with and without, hidden in training with probability 0, 0.2 or 0.5, standard and efficient.

    As `ramp bench methods`; the same data serve both (--dir). Efficient mode never calls the world model, and the table
    says what a decision then costs.

    \b
    Examples:
      ramp bench conditioning --quick
      ramp bench conditioning
    """
    from services.conductor.study import plan

    return _compare("conditioning", plan.conditioning(), quick, seeds, dir_, out)


def value(quick: Quick = False, seeds: Seeds = None, dir_: Where = None, out: Out = None) -> int:
    """Value models on held-out episodes: seconds per frame, MAE, MSE, RMSE, Kendall's tau (RAMP, Table 1).

    Per seed, on the data that the other comparisons use (--dir): a fifth of each task's episodes is held out, and four
    models train on the others for the same number of updates: a vision-language one with 201 bins (RECAP) and with one
    (RAMP's baseline), the world model with the value alone and with state and value together. Errors are of the
    remaining time over the task's limit, averaged over tasks; intervals are 95 %, over episodes; seconds are of one
    frame on one core.

    Stopped or killed, the same command goes on with what is missing.

    \b
    Examples:
      ramp bench value --quick
      ramp bench value
      ramp bench value --seeds 1 --out benchmarks/results
    """
    from services.conductor.study import value_plan, value_table, values

    plan = value_plan.quick() if quick else value_plan.ValuePlan()
    plan = replace(plan, seeds=tuple(range(seeds))) if seeds else plan
    home = _home(dir_, quick)
    rows = value_table.rows(plan, values.measure(plan, home, "value"))
    return _show("value", rows, quick, plan.seeds, home, out)


def _compare(name: str, plan: Plan, quick: bool, seeds: int | None, folder: Path | None, out: Path | None) -> int:
    from services.conductor.study import arms, table
    from services.conductor.study import plan as plans

    plan = plans.quick(plan) if quick else plan
    plan = replace(plan, seeds=tuple(range(seeds))) if seeds else plan
    home = _home(folder, quick)
    rows = table.rows(plan, arms.measure(plan, home, name))
    return _show(name, rows, quick, plan.seeds, home, out)


def _home(chosen: Path | None, quick: bool) -> Path:
    """Where nothing is chosen, all comparisons share their data."""
    return chosen or Path("runs") / ("bench-quick" if quick else "bench")


def _show(name: str, rows: list[Row], quick: bool, seeds: Sequence[int], home: Path, out: Path | None) -> int:
    from services.conductor.study.data import cells_of
    from services.conductor.study.published import publish

    _print(rows)
    if out:
        command = f"ramp bench {name}" + (" --quick" if quick else "")
        print(publish(name, command, seeds, rows, cells_of(home, name), out))
    return 0


def _print(rows: Sequence[Mapping[str, object]]) -> None:
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        rest = "  ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items() if key != "name")
        print(f"{row['name']:{width}}  {rest}")
