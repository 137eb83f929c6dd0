"""`ramp bench`: the comparisons of the papers, one command each, resumable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

Quick = Annotated[bool, typer.Option("--quick", help="Show in ten minutes that it works; too short to conclude from.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="How many, from 0.", show_default="3, quick: 1")]
Where = Annotated[
    Path | None, typer.Option("--dir", "-d", help="Where data and cells lie.", show_default="runs/bench-NAME")
]
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
    from services.conductor.study import methods as study
    from services.conductor.study import plan as plans
    from services.conductor.study import table

    plan = plans.quick() if quick else plans.Plan()
    plan = replace(plan, seeds=tuple(range(seeds))) if seeds else plan
    folder = dir_ or Path("runs") / ("bench-methods-quick" if quick else "bench-methods")
    cells = study.measure(plan, folder)
    rows = table.rows(plan, cells)
    _print(rows)
    if out:
        from services.conductor.study.published import publish

        print(
            publish(
                "methods", "ramp bench methods" + (" --quick" if quick else ""), plan.seeds, rows, folder / "cells", out
            )
        )
    return 0


def _print(rows: list[dict[str, object]]) -> None:
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        rest = "  ".join(f"{key.replace('_', ' ')} {value}" for key, value in row.items() if key != "name")
        print(f"{row['name']:{width}}  {rest}")
