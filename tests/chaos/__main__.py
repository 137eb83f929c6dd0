"""`make chaos`: every proof of reliability at full size, in pieces.

python -m tests.chaos                          whatever the full size of each still lacks
python -m tests.chaos kills --minutes 20       of one; no piece is begun after so long
python -m tests.chaos power --count 500        up to so many instead of the full size
python -m tests.chaos power --anew             from the beginning
python -m tests.chaos power --piece 7          one piece again, as it was; nothing is written

A piece that holds counts at once, in .chaos/NAME.json, in benchmarks/results/chaos.json and on BENCHMARKS.md; so a
proof may be ended at any time, and goes on where it was. One that does not hold says what was lost, leaves the files
that show it, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import math
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from benchmarks.__main__ import RESULTS
from benchmarks.page import PAGE, PROOFS, figures, page
from services.conductor.machine import commit, describe
from services.conductor.record import Result, load, save, without_host
from tests.chaos.progress import Row
from tests.chaos.tally import Tally, joined
from tests.unit.sources import ROOT

NAMES = ("kills", "power", "disks", "clocks", "connections", "operations")
TALLIES = ROOT / ".chaos"


def module_of(name: str) -> ModuleType:
    return importlib.import_module(f"tests.chaos.{name}")


def piece(name: str, count: int, number: int) -> list[Row]:
    """So much of a proof. Raises AssertionError, or whatever else it ends with; its files then stay."""
    folder = Path(tempfile.mkdtemp(prefix=f"ramp-chaos-{name}-"))
    try:
        rows: list[Row] = module_of(name).run(count=count, seed=number, folder=folder)
    except BaseException:
        again = f"python -m tests.chaos {name} --piece {number} --count {count}"
        print(f"{name}: its files are in {folder}; again: {again}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    return rows


def prove(name: str, size: int, until: float, tallies: Path) -> Tally:
    """Piece after piece, until there are `size` or the time (monotonic) is over. Raises as `piece`."""
    tally, most = Tally.load(tallies / f"{name}.json"), module_of(name).PIECE
    while tally.done < size and time.monotonic() < until:
        began, date = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
        count = min(most, size - tally.done)
        rows = piece(name, count, tally.pieces)
        tally.add(count, time.monotonic() - began, commit(), date, rows)
        tally.save(tallies / f"{name}.json")
        publish(name, tally, max(size, module_of(name).COUNT), RESULTS, PAGE)
        rate = 60.0 * tally.done / max(tally.seconds, 0.1)
        print(f"{name}: {tally.done} of {size}, {rate:.3g} a minute", flush=True)
    return tally


def publish(name: str, tally: Tally, size: int, results: Path, target: Path) -> None:
    """Into the results, and onto their page."""
    known = [result for result in load(results) if result.name == PROOFS]
    result = Result(
        name=PROOFS,
        command="make chaos",
        commit=tally.commits[-1],
        date=tally.date,
        machine=without_host(describe()),
        seeds=tuple(range(tally.pieces)),
        seconds=tally.seconds,
        rows=joined(known, name, tally.told(size), NAMES),
    )
    save(result, results)
    target.write_text(page(load(results)), encoding="utf-8")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Prove that nothing is lost.")
    parser.add_argument("name", nargs="?", default="all", choices=("all", *NAMES), help="which proof (default: all)")
    parser.add_argument("--count", type=int, default=None, help="how many; default: the proof's full size")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no piece after so long (default: never)")
    parser.add_argument("--anew", action="store_true", help="forget the pieces that there are")
    parser.add_argument("--piece", type=int, default=None, help="only this one, as it was; nothing is written")
    options = parser.parse_args(arguments)
    if options.name == "all" and (options.count is not None or options.piece is not None):
        parser.error("--count and --piece are for one proof; name it")
    return options


def main(arguments: Sequence[str] | None = None, tallies: Path = TALLIES) -> int:
    """0 where every proof holds as far as it has come."""
    options = parsed(arguments)
    logging.disable(logging.CRITICAL)  # thousands of damaged disks would each be told of
    until, failed = time.monotonic() + 60.0 * options.minutes, []
    for name in NAMES if options.name == "all" else (options.name,):
        try:
            rows = rows_of(name, options, until, tallies)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        else:
            print(*(f"{row['name']}: {figures(row)}" for row in rows), sep="\n", flush=True)
    print(f"does not hold: {', '.join(failed)}" if failed else "all of it holds")
    return int(bool(failed))


def rows_of(name: str, options: argparse.Namespace, until: float, tallies: Path) -> list[Row]:
    """What a proof has come to. Raises as `piece`."""
    if options.piece is not None:
        return piece(name, options.count or module_of(name).PIECE, options.piece)
    if options.anew:
        (tallies / f"{name}.json").unlink(missing_ok=True)
    return prove(name, options.count or module_of(name).COUNT, until, tallies).rows


if __name__ == "__main__":
    sys.exit(main())
