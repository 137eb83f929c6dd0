"""BENCHMARKS.md, from the results and from nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from services.conductor.record import Result, Row

PAGE = Path(__file__).parents[1] / "BENCHMARKS.md"
APART = ("name", "value", "unit", "baseline", "ratio", "target")  # keys with a column, or a place, of their own

HEAD = """# Benchmarks

Written by `make bench` from the files in `benchmarks/results/`; do not edit. A ratio compares two figures of the same
run on the same machine, so it can be compared with others; the figures themselves depend on the machine and on what
else runs there. Repeat with `make bench`, or one of them with `make bench ARGS="rollout"`; replay beside its peers with
`make bench-replay`; what whole runs reached, with their reports,
`make bench ARGS="--runs runs/one/report.json runs/other/report.json"`.
"""

PROOFS = "chaos"  # the result of `make chaos`
PROOFS_HEAD = """## Proof of reliability

Written by `make chaos`, which goes on where it was ended; one of them anew with `make chaos ARGS="kills --anew"`. What
stands here has held: what does not ends the command with an error and is not written down. The line below is of the
last piece; each row names the commits that it was tried at.
"""
GPU_PIECES = ("policy", "world", "latency")
NOT_RUN = "not run: needs a CUDA GPU; `make bench-gpu`"


def page(results: Sequence[Result]) -> str:
    parts = [HEAD]
    if ratios := [row for result in results for row in result.rows if "ratio" in row]:
        parts += ["## Ratios\n", table(("what", "ratio", "target"), map(ratio_cells, ratios))]
    on_gpu = {result.name: result for result in results if result.name.startswith("gpu_")}
    proofs = [result for result in results if result.name == PROOFS]
    for result in results:
        if result.name not in on_gpu and result not in proofs:
            parts += [f"## {result.name}\n", *measured(result)]
    for result in proofs:
        parts += [PROOFS_HEAD, *measured(result)]
    parts.append("## Full size on one GPU\n")
    for name in [f"gpu_{piece}" for piece in GPU_PIECES] if on_gpu else ():
        parts += [f"### {name}\n", *(measured(on_gpu[name]) if name in on_gpu else [f"{NOT_RUN}\n"])]
    return "\n".join(parts if on_gpu else [*parts, f"{NOT_RUN}\n"])


def measured(result: Result) -> list[str]:
    """Where it comes from, and all of its figures."""
    return [_origin(result), table(("what", "measured"), ((row["name"], figures(row)) for row in result.rows))]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def ratio_cells(row: Row) -> tuple[str, str, str]:
    return row["name"], number(row["ratio"]), number(row.get("target", ""))


def number(value: Any) -> str:
    """A figure as short as it is still right: three to four significant digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def figures(row: Row) -> str:
    """Everything of a row but its name, in words."""
    parts = [f"{number(row['value'])} {row.get('unit', '')}".strip()] if "value" in row else []
    if "baseline" in row:
        parts.append(f"beside {number(row['baseline'])} {row.get('unit', '')}".strip())
    if "ratio" in row:
        parts.append(f"ratio {number(row['ratio'])}")
    parts += [f"{key.replace('_', ' ')} {number(value)}" for key, value in row.items() if key not in APART]
    return ", ".join(parts)


def _origin(result: Result) -> str:
    machine = ", ".join(f"{key} {_figure(key, value)}" for key, value in result.machine.items())
    seeds = ", ".join(map(str, result.seeds)) or "none"
    commit = result.commit[:10] + "+" * result.commit.endswith("+")
    return (
        f"`{result.command}` at commit `{commit or 'unknown'}`, {result.date[:10]}, in "
        f"{result.seconds:.0f} s. Seeds: {seeds}. Machine: {machine}.\n"
    )


def _figure(key: str, value: Any) -> str:
    return f"{value / 2**30:.0f} GiB" if key.endswith("bytes") else str(value)
