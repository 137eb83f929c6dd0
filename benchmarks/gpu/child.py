"""Measures one piece in a process of its own, so that none finds another's memory or process group.

python -m benchmarks.gpu.child PIECE OUT [--small] [--batch N] [--layers N]     writes its rows and the card's facts
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from benchmarks.gpu import latency, training
from benchmarks.gpu.card import facts
from benchmarks.gpu.options import add_options, from_arguments
from ramp.errors import RampError

PIECES = {"policy": training.policy, "world": training.world, "latency": latency.latency}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("piece", choices=PIECES)
    parser.add_argument("out", type=Path)
    add_options(parser)
    arguments = parser.parse_args()
    options = from_arguments(arguments)
    try:
        rows = PIECES[arguments.piece](options)
    except torch.OutOfMemoryError as error:
        print(f"{str(error).splitlines()[0]}\nless fits; for instance --batch 1, or --layers", file=sys.stderr)
        return 1
    except RampError as error:
        print(error, file=sys.stderr)
        return 1
    arguments.out.write_text(json.dumps({"rows": rows, "facts": facts()}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
