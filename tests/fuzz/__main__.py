"""Attack every decoder: `python -m tests.fuzz --inputs 100000`. Exit status 1 where something was found.

Needs atheris, which exists for x86-64 only; tests/fuzz/test_structured.py attacks the same targets without it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import atheris

from tests.fuzz.attack import Result, attack
from tests.fuzz.target import TARGETS, load, shares

MEMORY_DISK = Path("/dev/shm")  # fsync costs nothing there


def attack_all(names: list[str], inputs: int, seed: int, home: Path) -> list[Result]:
    """One after another, with a line for each. They are imported once, and then attacked in forks of this process."""
    with contextlib.redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["ramp", "services"]):
        kinds = {name: load(name) for name in names}
    print(f"{'target':12} {'inputs':>8} {'inputs/s':>9} {'edges':>6}  found", flush=True)
    results = []
    for name, count in shares(names, inputs).items():
        result = attack(kinds[name], home / name, count, seed)
        rate = result.inputs / result.seconds
        print(f"{name:12} {result.inputs:8} {rate:9.0f} {result.edges:6}  {result.finding or '-'}", flush=True)
        results.append(result)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="altogether; cheap decoders get more of them")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    home = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None))
    results = attack_all(options.target or list(TARGETS), options.inputs, options.seed, home)
    found, seconds = sum(bool(each.finding) for each in results), sum(each.seconds for each in results)
    total = sum(each.inputs for each in results)
    print(f"{total} inputs to {len(results)} decoders in {seconds:.0f} s of processor time: {found} findings")
    if not found:
        home.rmdir()
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
