"""`ramp up` and `ramp down` as a user types them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from services.common.settings import child_environment
from services.conductor.rundir import RunDir
from services.conductor.stack import home_of, read_state
from tests.loop.launched import has_ended
from tests.unit.sources import ROOT
from tests.waiting import eventually

pytestmark = pytest.mark.loop


def ramp(*words: str) -> str:
    """What it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "services.cli.main", *words],
        cwd=ROOT,
        env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}"),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_up_is_up_once_and_down_leaves_nothing(tmp_path: Path) -> None:
    rundir = RunDir(tmp_path / "up")
    where = ("--dir", str(rundir.path))
    try:
        said = ramp("up", "counting", "stages.joint_updates=100000", *where)
        assert "is up" in said
        assert {"run", "replay", "prometheus"} <= {line.split()[0] for line in said.splitlines() if line.strip()}
        assert f"ramp down --dir {rundir.path}" in said
        assert {part.name: part.state for part in read_state(rundir)}["run"] == "up"
        assert "is up already" in ramp("up", "counting", *where)
        stack = psutil.Process(int(home_of(rundir).lock.read_text()))
        below = stack.children(recursive=True)
        assert len(below) > 4, "redis, replay, actors, the learner and Ray"
    finally:
        said = ramp("down", *where)
    assert "stopped" in said
    eventually(lambda: all(map(has_ended, [stack, *below])))
    assert "nothing is up" in ramp("down", *where)
