"""One directory, one conductor; the latest one is found."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ramp.errors import NotFound
from services.conductor import rundir
from services.conductor.rundir import Lock, Occupied, RunDir

HOLD = """
import sys
from pathlib import Path
from services.conductor.rundir import Lock, RunDir
lock = Lock(RunDir(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_conductor_is_refused_with_the_first_one_s_pid_until_that_is_killed(tmp_path: Path) -> None:
    directory = RunDir(tmp_path)
    root = Path(rundir.__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'proto'}"}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    assert rundir.is_held(directory)
    with pytest.raises(Occupied, match=f"process {holder.pid} is running it"):
        Lock(directory)
    holder.kill()
    holder.wait()
    holder.stdout.close()
    Lock(directory).release()
    assert not rundir.is_held(directory)


def test_somebody_who_looks_does_not_keep_a_conductor_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = RunDir(tmp_path)
    Lock(directory).release()
    with directory.lock.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)

        def goes(seconds: float) -> None:
            if seconds:
                fcntl.flock(looking, fcntl.LOCK_UN)

        monkeypatch.setattr(rundir.time, "sleep", goes)
        Lock(directory).release()


def test_the_latest_run_is_found_through_its_link(tmp_path: Path) -> None:
    for name in ("first", "second"):
        directory = RunDir(tmp_path / "runs" / name)
        directory.make()
        directory.settings.write_text("seed: 0\n")
        rundir.point_latest(directory)
    assert rundir.find(None, tmp_path / "runs").path == (tmp_path / "runs" / "second").resolve()


def test_a_directory_called_latest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "latest").mkdir()
    directory = RunDir(tmp_path / "mine")
    directory.make()
    rundir.point_latest(directory)
    assert not (tmp_path / "latest").is_symlink()


def test_where_there_is_no_run_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="start one with `ramp run`"):
        rundir.find(None, tmp_path)
    with pytest.raises(NotFound, match="give the --dir of a run"):
        rundir.find(tmp_path / "nowhere")
