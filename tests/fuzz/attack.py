"""One target under attack, in a process of its own that it may take down.

libFuzzer decides by the coverage of our Python which inputs to build upon. Half of them are made by changing a true
message as tests/fuzz/mutation.py does, because whatever is behind a checksum or inside Arrow it would never find.
"""

from __future__ import annotations

import collections
import logging
import os
import random
import re
import resource
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import atheris

from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target

KEPT = 512  # inputs that are written down after a finding: some need a history
MAX_BYTES = 16384


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of one target."""

    inputs: int
    seconds: float  # of processor time
    edges: int  # of our Python that were reached
    finding: str  # what the process said at its end; empty: nothing was found


def attack(kind: type[Target], folder: Path, inputs: int, seed: int) -> Result:
    """In a fork of this process. After a finding `folder` holds the last inputs, oldest first."""
    folder.mkdir()
    before = _children_s()
    child = os.fork()
    if not child:
        _be_attacked(kind, folder, inputs, seed)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    said = (folder / "said").read_text(errors="replace")
    result = Result(
        inputs=_last(r"stat::number_of_executed_units: *(\d+)", said),
        seconds=_children_s() - before,
        edges=_last(r"cov: (\d+)", said),
        finding="" if status == 0 else f"status {status}, inputs in {folder}\n{_told(said)}",
    )
    if not result.finding:
        shutil.rmtree(folder)
    return result


def _children_s() -> float:
    """Processor time of all children so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _last(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def _told(text: str) -> str:
    """What Python said of a finding, without libFuzzer's figures around it; else all of it."""
    python = re.search(r"=== Uncaught Python exception: ===\n(.*?)\n\n", text, re.DOTALL)
    return python[1] if python else text[-2000:]


# ------------------------------------------------------------------------------------------ in the fork


def _be_attacked(kind: type[Target], folder: Path, inputs: int, seed: int) -> None:
    """Does not return."""
    try:
        said = os.open(folder / "said", os.O_CREAT | os.O_WRONLY)
        os.dup2(said, 1)
        os.dup2(said, 2)
        logging.disable(logging.CRITICAL)  # what is refused is logged a thousand times
        (folder / "scratch").mkdir()
        feeder = Feeder(kind(folder / "scratch"), folder, inputs)
        options = {"runs": inputs, "seed": seed + 1, "max_len": MAX_BYTES, "len_control": 0, "reduce_inputs": 0}
        options |= {"rss_limit_mb": 3072, "timeout": 60, "print_final_stats": 1, "artifact_prefix": f"{folder}/"}
        words = [f"-{key}={value}" for key, value in options.items()]
        atheris.Setup([sys.argv[0], *words, str(feeder.corpus())], feeder, custom_mutator=feeder.mutate)
        atheris.Fuzz()
    finally:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]  # there is one: else libFuzzer has ended the process
        sys.stderr.flush()
        os._exit(70)


class Feeder:
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
