"""`make bench`: measures, prints the ratios, writes benchmarks/results/*.json and BENCHMARKS.md.

python -m benchmarks                               all but those two, and the newest run's report
python -m benchmarks rollout engine                some
python -m benchmarks replay_peers growth           `make bench-replay`: replay beside Reverb, and as it grows
python -m benchmarks --quick                       short ones that only show that it works; nothing is written
python -m benchmarks --runs runs/*/report.json     success and the learner's waiting, from real runs; one per seed
python -m benchmarks --page                        write BENCHMARKS.md again
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.page import PAGE, figures, page, ratio_cells
from benchmarks.runs import MeasurementError, from_runs, learner_wait
from services.common.settings import DEFAULT_RECIPE, child_environment
from services.conductor.machine import commit, describe
from services.conductor.record import Result, load, save, without_host

RESULTS = Path(__file__).with_name("results")
NAMES = ("engine", "policy", "replay", "rollout", "serving")
APART = ("replay_peers", "growth")  # only where named: one installs Reverb, the other stores a million steps
KNOWN = ", ".join((*NAMES, *APART))
LIMIT_S = 1800.0  # for one benchmark, on a slow machine too; whatever hangs inside it ends then


def measure(name: str, *, quick: bool) -> Result:
    """Run one benchmark in a child process. Raises MeasurementError."""
    began, date = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="ramp-bench-") as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks.child", name, str(out), *(["--quick"] if quick else [])]
        if exit_code(command, LIMIT_S) or not out.exists():
            raise MeasurementError(f"{name}: its process failed; its messages are above")
        rows = json.loads(out.read_text(encoding="utf-8"))
    return Result(
        name=name,
        command=f"python -m benchmarks {name}",
        commit=commit(),
        date=date,
        machine=without_host(describe()),
        seeds=(0,),  # of the settings; what a benchmark draws beside it, its rows say
        seconds=round(time.monotonic() - began, 1),
        rows=tuple(rows),
    )


def exit_code(command: Sequence[str], limit_s: float) -> int:
    """Exit code of a child process. One that takes longer is killed with all below it: raises MeasurementError."""
    with subprocess.Popen(command, env=child_environment()) as child:
        try:
            return child.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise MeasurementError(f"{' '.join(command)}: not done after {limit_s:g} s; ended") from None
        finally:
            if child.returncode is None:
                _kill_all(psutil.Process(child.pid))


def _kill_all(process: psutil.Process) -> None:
    for each in (*process.children(recursive=True), process):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


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
    """The report of the newest run, where that is a finished one of the default recipe whose learner reported."""
    path = Path("runs/latest/report.json")
    if not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    usable = (found["recipe"], found["reason"]) == (DEFAULT_RECIPE, "done")
    return path if usable and found["time"]["learner_wait_share"] is not None else None


def from_latest() -> list[Result]:
    """The learner's waiting in the newest run, where there is one to tell of."""
    if report := latest_report():
        return [learner_wait(report)]
    print("learner: no finished run in runs/latest; after one, its waiting for data is taken from its report")
    return []


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and write BENCHMARKS.md.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which: {KNOWN} (default: all but {' and '.join(APART)})"
    )
    parser.add_argument("--quick", action="store_true", help="only show that they work; nothing is written")
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[],
        help="report.json of finished runs: success by seed, the learner's waiting",
    )
    parser.add_argument("--page", action="store_true", help="only write BENCHMARKS.md from the results that are there")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - {*NAMES, *APART}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {KNOWN}")
    try:  # before anything is measured for minutes
        arguments.results = from_runs(arguments.runs) if arguments.runs else []
    except MeasurementError as error:
        parser.error(str(error))
    if not arguments.names and not arguments.runs and not arguments.page:
        arguments.names, arguments.results = list(NAMES), from_latest()
    return arguments


def main() -> int:
    arguments = parsed()
    results: list[Result] = arguments.results
    failures: list[str] = []
    for name in arguments.names:
        print(f"measuring {name} ...", flush=True)
        try:
            results.append(measure(name, quick=arguments.quick))
        except MeasurementError as error:
            failures.append(str(error))
    if not arguments.quick:
        for result in results:
            save(result, RESULTS)
        PAGE.write_text(page(load(RESULTS)), encoding="utf-8")
    if not arguments.page:
        show(results)
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
