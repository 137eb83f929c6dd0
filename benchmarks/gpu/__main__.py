"""`make bench-gpu`: the full-size models on one CUDA GPU; writes benchmarks/results/gpu_*.json and BENCHMARKS.md.

python -m benchmarks.gpu                      all pieces; where there is no GPU it says so and ends with exit code 3
python -m benchmarks.gpu policy               a training step of the policy: tokens/s, MFU, memory
python -m benchmarks.gpu world                the same of the world model
python -m benchmarks.gpu latency              an action chunk in efficient and in standard mode
python -m benchmarks.gpu --small              tiny models, on any machine: shows that it works; nothing is written
python -m benchmarks.gpu policy --batch 8     so many samples a step; --layers 12: a shallower model, and it says so

A piece ends within ten minutes, and each is kept by itself, so they may be measured one by one. What another machine
measured: copy its benchmarks/results/gpu_*.json here, then `python -m benchmarks --page`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from benchmarks.__main__ import RESULTS, exit_code, show
from benchmarks.gpu.options import Options, add_options, from_arguments
from benchmarks.page import GPU_PIECES, PAGE, page
from benchmarks.runs import MeasurementError
from services.conductor.machine import commit, describe
from services.conductor.record import Result, load, save, without_host

NO_GPU = 3
NEEDED = ("torch", "deepspeed", "transformers", "diffusers")
LIMIT_S = 590.0  # of a piece


def measure(piece: str, options: Options) -> Result:
    """Raises MeasurementError."""
    began, date = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="ramp-bench-") as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks.gpu.child", piece, str(out), *options.words()]
        if exit_code(command, LIMIT_S) or not out.exists():
            raise MeasurementError(f"{piece}: not measured; the reason is above")
        found = json.loads(out.read_text(encoding="utf-8"))
    return Result(
        name=f"gpu_{piece}",
        command=" ".join(["python -m benchmarks.gpu", piece, *options.words()]),
        commit=commit(),
        date=date,
        machine={**found["facts"], **without_host(describe())},
        seeds=(0,),  # of weights and noise
        seconds=round(time.monotonic() - began, 1),
        rows=tuple(found["rows"]),
    )


def publish(result: Result) -> None:
    """Keep one piece; the others stay as they were."""
    save(result, RESULTS)
    PAGE.write_text(page(load(RESULTS)), encoding="utf-8")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Measure the full size on one GPU.")
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"which: {', '.join(GPU_PIECES)} (default: all)")
    add_options(parser)
    arguments = parser.parse_args()
    if unknown := set(arguments.pieces) - set(GPU_PIECES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(GPU_PIECES)}")
    arguments.pieces = arguments.pieces or list(GPU_PIECES)
    if (arguments.batch or arguments.layers) and "latency" in arguments.pieces:
        parser.error("--batch and --layers are a training step's; name policy or world")
    return arguments


def lacking(options: Options) -> str | None:
    """Why nothing can be measured here, in one line, or None."""
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        return f"not run: needs {', '.join(missing)}; `make setup` installs them"
    from benchmarks.gpu import card

    return None if options.small else card.lacking()


def main() -> int:
    arguments = parsed()
    options = from_arguments(arguments)
    if why := lacking(options):
        print(f"bench-gpu: {why}", file=sys.stderr)
        return NO_GPU
    results: list[Result] = []
    failures: list[str] = []
    for piece in arguments.pieces:
        try:
            results.append(measure(piece, options))
        except MeasurementError as error:
            failures.append(str(error))
        else:
            if not options.small:
                publish(results[-1])
    show(results)
    print(*failures, sep="\n", end="\n" if failures else "", file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
