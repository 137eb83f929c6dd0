"""Runs one benchmark in a process of its own, so that none inherits another's Ray, process group or memory.

python -m benchmarks.child NAME OUT [--quick]     writes its rows to OUT
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    name, out = sys.argv[1:3]
    module = importlib.import_module(f"benchmarks.{name}")
    rows = module.run("--quick" in sys.argv[3:])
    Path(out).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
