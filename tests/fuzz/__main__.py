"""Attack every decoder: `python -m tests.fuzz --inputs 100000`. Exit status 1 where something was found."""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.common.settings import child_environment
from tests.fuzz.target import TARGETS, shares
from tests.unit.sources import ROOT

MEMORY_DISK = Path("/dev/shm")  # fsync costs nothing there


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one target."""

    name: str
    inputs: int
    seconds: float  # of processor time, the child's start included
    edges: int  # of our Python that were reached
    finding: str  # the end of what the child said; empty: none


def attack(name: str, inputs: int, seed: int, home: Path) -> Outcome:
    """One target in a child process, which leaves a folder with the last inputs where it finds something."""
    folder = home / name
    command = [sys.executable, "-m", "tests.fuzz.child", name, str(folder), str(inputs), str(seed)]
    began = _children_s()
    environment = child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}")
    child = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace")
    seconds, said = _children_s() - began, child.stdout + child.stderr
    found = Outcome(
        name=name,
        inputs=_last(r"stat::number_of_executed_units: *(\d+)", said),
        seconds=seconds,
        edges=_last(r"cov: (\d+)", said),
        finding="" if child.returncode == 0 else f"status {child.returncode}, inputs in {folder}\n{said[-3000:]}",
    )
    if not found.finding:
        shutil.rmtree(folder)
    return found


def _children_s() -> float:
    """Processor time of all children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def attack_all(names: list[str], inputs: int, seed: int, home: Path) -> list[Outcome]:
    """One after another, with a line for each."""
    print(f"{'target':12} {'inputs':>8} {'inputs/s':>9} {'edges':>6}  found")
    outcomes = []
    for name, count in shares(names, inputs).items():
        outcomes.append(outcome := attack(name, count, seed, home))
        rate = outcome.inputs / outcome.seconds
        print(f"{name:12} {outcome.inputs:8} {rate:9.0f} {outcome.edges:6}  {outcome.finding or '-'}", flush=True)
    found = sum(bool(each.finding) for each in outcomes)
    total, seconds = sum(each.inputs for each in outcomes), sum(each.seconds for each in outcomes)
    print(f"{total} inputs to {len(outcomes)} decoders in {seconds:.0f} s of processor time: {found} findings")
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="altogether; cheap decoders get more of them")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    home = Path(tempfile.mkdtemp(prefix="fuzz-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None))
    outcomes = attack_all(options.target or list(TARGETS), options.inputs, options.seed, home)
    if any(each.finding for each in outcomes):
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main())
