"""`ramp bench`: the comparisons of the papers, one command each, resumable."""

from __future__ import annotations

import time
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
    """World-model tokens: with and without, hidden with probability 0, 0.2 or 0.5, both modes, one task and all.

    As `ramp bench methods`; the same data serve both (--dir). Efficient mode never calls the world model, and the table
    says what a decision then costs. Two arms learn button-press-topdown-v3 alone, with tokens and without, and are
    tried on it alone: read them beside the other arms' rows of that task.

    \b
    Examples:
      ramp bench conditioning --quick
      ramp bench conditioning
    """
    from services.conductor.study import plan

    return _compare("conditioning", plan.conditioning(), quick, seeds, dir_, out)


def iterations(quick: Quick = False, seeds: Seeds = None, dir_: Where = None, out: Out = None) -> int:
    """Success over rounds of collecting and training, with and without a person who corrects.

    Whole runs of the default recipe, a pair per seed. Round 0 is the Stage-2 policy; the last one is the final policy.

    \b
    Examples:
      ramp bench iterations --quick
      ramp bench iterations --seeds 1
    """
    from services.conductor.study import iterations as study

    rounds = study.quick(study.Rounds()) if quick else study.Rounds()
    rounds = replace(rounds, seeds=tuple(range(seeds))) if seeds else rounds
    home, began = _home(dir_, quick) / "iterations", time.monotonic()
    rows = study.measure(rounds, home)
    return _finish("iterations", quick, rounds.seeds, rows, time.monotonic() - began, out)


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
    home, began = _home(dir_, quick), time.monotonic()
    rows = value_table.rows(plan, values.measure(plan, home, "value"))
    return _finish("value", quick, plan.seeds, rows, time.monotonic() - began, out)


def _compare(name: str, plan: Plan, quick: bool, seeds: int | None, folder: Path | None, out: Path | None) -> int:
    from services.conductor.study import arms, table
    from services.conductor.study import plan as plans

    plan = plans.quick(plan) if quick else plan
    plan = replace(plan, seeds=tuple(range(seeds))) if seeds else plan
    cells = arms.measure(plan, _home(folder, quick), name)
    return _finish(name, quick, plan.seeds, table.rows(plan, cells), table.seconds(plan, cells), out)


def _home(folder: Path | None, quick: bool) -> Path:
    return folder or Path("runs") / ("bench-quick" if quick else "bench")


def _finish(name: str, quick: bool, seeds: Sequence[int], rows: list[Row], seconds: float, out: Path | None) -> int:
    _print(rows)
    if out:
        from services.conductor.study.published import publish

        print(publish(name, _command(name, quick, len(seeds)), seeds, rows, seconds, out))
    return 0


def _command(name: str, quick: bool, seeds: int) -> str:
    """What gives the same table again."""
    return f"ramp bench {name}" + (" --quick" if quick else "") + f" --seeds {seeds}"


def _print(rows: Sequence[Mapping[str, object]]) -> None:
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        rest = "  ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items() if key != "name")
        print(f"{row['name']:{width}}  {rest}")
