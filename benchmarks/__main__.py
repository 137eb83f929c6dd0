"""`make bench`: measures, prints the ratios, writes benchmarks/results/*.json and BENCHMARKS.md.

python -m benchmarks                               all of them, and the newest run's report
python -m benchmarks rollout engine                some
python -m benchmarks --quick                       short ones that only show that it works; nothing is written
python -m benchmarks --report runs/x/report.json   the learner's waiting for data, from a real run
python -m benchmarks --page                        write BENCHMARKS.md again
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.page import PAGE, figures, page, ratio_cells
from benchmarks.record import Result, load, save, without_host
from services.common.settings import DEFAULT_RECIPE, child_environment
from services.conductor.machine import commit, describe

NAMES = ("engine", "replay", "rollout")
WAIT_TARGET = 0.10  # share of the learner's time


class MeasurementError(RuntimeError):
    """A benchmark did not finish."""


def measure(name: str, *, quick: bool) -> Result:
    """Run one benchmark in a child process. Raises MeasurementError."""
    began, date = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="ramp-bench-") as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks.child", name, str(out), *(["--quick"] if quick else [])]
        if subprocess.run(command, env=child_environment(), check=False).returncode or not out.exists():
            raise MeasurementError(f"{name}: its process failed; its messages are above")
        raw = json.loads(out.read_text(encoding="utf-8"))
    return Result(
        name=name,
        command=f"python -m benchmarks {name}",
        commit=commit(),
        date=date,
        machine=without_host(describe()),
        seeds=tuple(raw["seeds"]),
        seconds=round(time.monotonic() - began, 1),
        rows=tuple(raw["rows"]),
    )


def learner_wait(report: Path) -> Result:
    """The learner's waiting for data in a real run, from its report.json. Raises MeasurementError without it."""
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    share = found["time"]["learner_wait_share"]
    if share is None:
        raise MeasurementError(
            f"{report}: the learner did not report; name a run that reached its first stage of training"
        )
    overrides = [f"seed={found['seed']}"]
    row = {"name": "learner: time waiting for data / all of its time", "ratio": round(share, 4), "target": WAIT_TARGET}
    spent = {f"{part['name'].replace(' ', '_')}_s": round(part["seconds"], 1) for part in found["time"]["learner"]}
    return Result(
        name="learner",
        command=" ".join(["ramp run", found["recipe"], *overrides]),
        commit=found["commit"],
        date=found["started"],
        machine=without_host(found["machine"]),
        seeds=(found["seed"],),
        seconds=round(found["seconds"], 1),
        rows=(row | spent,),
    )


def show(results: Sequence[Result]) -> None:
    """The ratios as a table; what they were made of beneath."""
    rows = [row for result in results for row in result.rows]
    table = Table("what", "ratio", "target", box=None, padding=(0, 3, 0, 0))
    for row in rows:
        if "ratio" in row:
            table.add_row(*ratio_cells(row))
    Console().print(
        *([f"{row['name']}: {figures(row)}" for row in rows] if rows else ["nothing measured"]), sep="\n", markup=False
    )
    Console().print(table)


def latest_report() -> Path | None:
    """The report of the newest run, where that is a finished one of the default recipe."""
    path = Path("runs/latest/report.json")
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return path if (found["recipe"], found["reason"]) == (DEFAULT_RECIPE, "done") else None


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and write BENCHMARKS.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="only show that they work; nothing is written")
    parser.add_argument("--report", type=Path, help="a run's report.json, for the learner's waiting for data")
    parser.add_argument("--page", action="store_true", help="only write BENCHMARKS.md from the results that are there")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if not arguments.names and not arguments.report and not arguments.page:
        arguments.names, arguments.report = list(NAMES), latest_report()
        if arguments.report is None:
            print("learner: no finished run in runs/latest; after one, its waiting for data is taken from its report")
    return arguments


def main() -> int:
    arguments = parsed()
    results: list[Result] = []
    failures: list[str] = []
    for name in arguments.names:
        print(f"measuring {name} ...", flush=True)
        try:
            results.append(measure(name, quick=arguments.quick))
        except MeasurementError as error:
            failures.append(str(error))
    if arguments.report:
        results.append(learner_wait(arguments.report))
    if not arguments.quick:
        for result in results:
            save(result)
        PAGE.write_text(page(load()), encoding="utf-8")
    if not arguments.page:
        show(results)
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
