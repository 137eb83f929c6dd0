"""`make chaos`: every proof of reliability at full size.

python -m tests.chaos                            all of them
python -m tests.chaos kills --count 40 --seed 3  one, in another size
python -m tests.chaos power --out FILE           the result elsewhere than in benchmarks/results/

A proof that holds prints its figures and writes benchmarks/results/chaos_NAME.json, and BENCHMARKS.md again; one that
does not says what was lost, leaves the files that show it, and the command ends with 1.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.__main__ import RESULTS
from benchmarks.page import PAGE, figures, page
from services.conductor.machine import commit, describe
from services.conductor.record import Result, load, save, without_host

NAMES = ("kills", "power", "disks", "clocks", "connections", "operations")


def prove(name: str, count: int | None, seed: int) -> Result:
    """Raises AssertionError, or whatever else a proof ends with; its files then stay."""
    module = importlib.import_module(f"tests.chaos.{name}")
    size = module.COUNT if count is None else count
    began, date = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    folder = Path(tempfile.mkdtemp(prefix=f"ramp-chaos-{name}-"))
    try:
        rows = module.run(count=size, seed=seed, folder=folder)
    except BaseException:
        print(f"{name}: its files are in {folder}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    return Result(
        name=f"chaos_{name}",
        command=f"python -m tests.chaos {name} --count {size} --seed {seed}",
        commit=commit(),
        date=date,
        machine=without_host(describe()),
        seeds=(seed,),
        seconds=round(time.monotonic() - began, 1),
        rows=tuple(rows),
    )


def publish(result: Result, out: Path | None) -> None:
    """Into one file, or into the results and their page."""
    if out is None:
        save(result, RESULTS)
        PAGE.write_text(page(load(RESULTS)), encoding="utf-8")
    else:
        save(result, out.parent).rename(out)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Prove that nothing is lost.")
    parser.add_argument("name", nargs="?", default="all", choices=("all", *NAMES), help="which proof (default: all)")
    parser.add_argument("--count", type=int, default=None, help="how often; default: the proof's full size")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: 0)")
    parser.add_argument("--out", type=Path, default=None, help="JSON file; default: one in benchmarks/results/")
    options = parser.parse_args(arguments)
    if options.name == "all" and (options.count is not None or options.out is not None):
        parser.error("--count and --out are for one proof; name it")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every proof holds."""
    options = parsed(arguments)
    logging.disable(logging.CRITICAL)  # thousands of damaged disks would each be told of
    failed = []
    for name in NAMES if options.name == "all" else (options.name,):
        print(f"{name} ...", flush=True)
        try:
            result = prove(name, options.count, options.seed)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        else:
            publish(result, options.out)
            print(*(f"  {row['name']}: {figures(row)}" for row in result.rows), sep="\n", flush=True)
    print(f"does not hold: {', '.join(failed)}" if failed else "all of it holds")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
