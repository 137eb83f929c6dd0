"""One target under attack, in a process that it may take down: `python -m tests.fuzz.child NAME FOLDER INPUTS SEED`.

libFuzzer decides by the coverage of our Python which inputs to build upon. Half of them are made by changing a true
message as tests/fuzz/mutation.py does, because whatever is behind a checksum or inside Arrow it would never find.
"""

from __future__ import annotations

import collections
import logging
import random
import sys
from pathlib import Path

import atheris

from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target, make

KEPT = 512  # inputs that are written down after a finding: some need a history
MAX_BYTES = 16384


class Attack:
    """Feeds the target and counts; a finding ends the process."""

    def __init__(self, target: Target, folder: Path, inputs: int) -> None:
        self._target, self._folder, self._left = target, folder, inputs
        self._recent: collections.deque[bytes] = collections.deque(maxlen=KEPT)
        self._seeds = target.seeds()

    def __call__(self, data: bytes) -> None:
        self._recent.append(data)
        self._left -= 1
        try:
            self._target.feed(data)
            if self._left == 0:
                self._target.settle()
        except BaseException:
            self._write_down()
            raise

    def mutate(self, data: bytes, most: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if draw.random() < 0.5:
            return bytes(atheris.Mutate(data, most))
        base = draw.choice(self._seeds) if draw.random() < 0.5 else data
        return mutated(base, self._seeds, draw)[:most]

    def _write_down(self) -> None:
        for number, data in enumerate(self._recent):
            (self._folder / f"input-{number:04d}").write_bytes(data)

    def corpus(self) -> Path:
        """The seeds as files."""
        place = self._folder / "corpus"
        place.mkdir()
        for number, data in enumerate(self._seeds):
            (place / str(number)).write_bytes(data)
        return place


def main(name: str, folder: Path, inputs: int, seed: int) -> None:
    logging.disable(logging.CRITICAL)  # what was refused is reported a thousand times
    (folder / "scratch").mkdir(parents=True)
    with atheris.instrument_imports(include=["ramp", "services"]):
        target = make(name, folder / "scratch")
    attack = Attack(target, folder, inputs)
    options = {"runs": inputs, "seed": seed + 1, "max_len": MAX_BYTES, "len_control": 0, "reduce_inputs": 0}
    options |= {"rss_limit_mb": 3072, "timeout": 60, "print_final_stats": 1, "artifact_prefix": f"{folder}/"}
    words = [f"-{key}={value}" for key, value in options.items()]
    atheris.Setup([sys.argv[0], *words, str(attack.corpus())], attack, custom_mutator=attack.mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
