"""kill -9 while episodes are stored, deleted and segments written again: what was said to be done is done, whole."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ramp.errors import NotFound
from ramp.replay.shard import Shard
from ramp.types import SampleSpec
from services.common.settings import child_environment
from tests.experience import CAMERAS
from tests.faults.keeping import CONFIG, LENGTH
from tests.unit.sources import ROOT

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

KILLS = 10
SPEC = SampleSpec(table="demos", batch_size=64, chunk=3, horizons=(4,))


def listen(directory: Path, first: int, seed: int, acts: int) -> list[list[str]]:
    """What the process said until it was killed after so many acts, each as its words."""
    command = [sys.executable, "-m", "tests.faults.keeping", str(directory), str(first), str(seed)]
    environment = child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as child:
        assert child.stdout is not None
        said = [child.stdout.readline().split() for _ in range(acts)]
        child.kill()
        said += [line.split() for line in child.stdout if line.endswith("\n")]
    assert all(said), "the process ended by itself"
    return said


def check_pixels(shard: Shard) -> None:
    batch = shard.sample(SPEC, np.random.default_rng(0), timeout=5)[0]
    for row, name in enumerate(batch.episode_id):
        for camera in CAMERAS:
            shown = batch.images[camera][row].flatten()[:2].tolist()
            assert shown == [int(batch.step[row]), int(name) % 251]


def test_whatever_moment_a_kill_comes_at(tmp_path: Path) -> None:
    draw, next_number = random.Random(0), 0
    stored: set[int] = set()
    deleted: set[int] = set()
    for kill in range(KILLS):
        maybe: set[int] = set()
        for what, *numbers in listen(tmp_path, next_number, kill, draw.randint(20, 90)):
            named = {int(each) for each in numbers}
            if what == "stored":
                stored |= named
            elif what == "deleted":
                deleted |= named
            elif what in ("store", "delete"):
                maybe = named
                next_number = max(next_number, *(each + 1 for each in named)) if what == "store" else next_number
        shard = Shard(tmp_path, CONFIG)
        there = {int(info.episode_id) for info in shard.query()}
        assert (stored - deleted) - maybe <= there <= (stored | maybe) - deleted
        for number in there:
            assert shard.fetch(str(number)).steps.proprio[:, 1].tolist() == [number % 251] * LENGTH
        for number in deleted:
            with pytest.raises(NotFound, match="deleted"):
                shard.fetch(str(number))
        check_pixels(shard)
        assert shard.info().quarantined_segments == 0
        shard.close()
        deleted |= stored - there
        stored |= there
