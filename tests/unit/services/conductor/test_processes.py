"""Child processes are started, restarted, given up and stopped; real processes, no simulated ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from ramp.errors import Unavailable
from services.conductor import processes
from services.conductor.processes import Child, Command, stop_stale, wait_ready
from tests.waiting import eventually

ROOT = Path(processes.__file__).parents[2]
WAITS = "print('up', flush=True)\nimport time\nwhile True: time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + WAITS


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Makes children that say "up" in their log when they serve."""
    made: list[Child] = []

    def build(
        code: str = WAITS, name: str = "part", answers: Callable[[], bool] = lambda: True, *, ends: bool = False
    ) -> Child:
        log = tmp_path / f"{name}.log"
        command = Command(
            name=name,
            argv=[sys.executable, "-u", "-c", code],
            env=dict(os.environ),
            log=log,
            pid_file=tmp_path / "pids" / f"{name}.json",
            is_ready=lambda: log.exists() and "up" in log.read_text(),
            answers=answers,
            ends=ends,
        )
        made.append(Child(command))
        return made[-1]

    yield build
    for child in made:
        child.stop(0.0)


def test_a_child_starts_serves_and_stops_at_sigterm(make: Callable[..., Child]) -> None:
    child = make()
    child.start()
    assert [event.what for event in wait_ready([child], 20)] == ["started"]
    assert child.state == "up"
    stopped = child.stop()
    assert stopped is not None
    assert stopped.detail == ""
    assert child.state == "stopped"
    assert list(child.poll()) == []
    assert not child.command.pid_file.exists()


def test_a_child_that_may_end_is_not_started_again_and_one_that_fails_is(make: Callable[..., Child]) -> None:
    done, failing = make("print('up')", "done", ends=True), make("raise SystemExit(3)", "failing", ends=True)
    for child in (done, failing):
        child.start()
    wait_ready([done], 20)
    eventually(lambda: (list(done.poll()), done.done)[1])
    assert (done.state, done.pid, list(done.poll())) == ("done", 0, [])
    eventually(lambda: (list(failing.poll()), failing.restarts)[1])


def test_a_child_that_ignores_sigterm_is_killed_after_its_deadline(make: Callable[..., Child]) -> None:
    child = make(STUBBORN)
    child.start()
    wait_ready([child], 20)
    stopped = child.stop(0.2)
    assert stopped is not None
    assert "did not stop within 0.2 s" in stopped.detail


def test_a_killed_child_is_started_again(make: Callable[..., Child]) -> None:
    child = make()
    child.start()
    wait_ready([child], 20)
    first = child.pid
    os.kill(first, signal.SIGKILL)
    assert child.process is not None
    child.process.wait()
    events = wait_ready([child], 20)
    assert [(event.what, event.detail) for event in events] == [("died", "killed by SIGKILL"), ("restarted", "")]
    assert child.pid != first
    assert child.restarts == 1


@pytest.mark.parametrize(("served", "code"), [(True, WAITS), (False, "import time; time.sleep(600)")])
def test_a_child_that_lives_and_does_not_serve_is_killed_and_started_again(
    make: Callable[..., Child], monkeypatch: pytest.MonkeyPatch, served: bool, code: str
) -> None:
    child = make(code, answers=lambda: False)
    child.start()
    if served:
        wait_ready([child], 20)
    first = child.process
    assert first is not None
    monkeypatch.setattr(processes, "HUNG_S", -1.0)
    child.command = replace(child.command, patience_s=-1.0)
    assert list(child.poll()) == []
    first.wait(20)
    died = next(child.poll())
    assert (died.what, died.pid) == ("died", first.pid)
    assert died.detail.startswith("hung: no answer")


def test_a_child_that_keeps_dying_is_given_up_with_its_last_words(
    make: Callable[..., Child], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BACKOFF_S", (0.0,))
    monkeypatch.setattr(processes, "BUDGET", 2)
    child = make("raise SystemExit('no licence to start')")
    child.start()
    with pytest.raises(Unavailable, match=r"part died 3 times .* no licence to start"):
        wait_ready([child], 60)


def test_a_child_that_never_serves_is_reported(make: Callable[..., Child]) -> None:
    child = make("import time\nprint('thinking', flush=True)\nwhile True: time.sleep(60)")
    child.start()
    with pytest.raises(Unavailable, match="part does not serve after 0 s"):
        wait_ready([child], 0.0)


def test_a_child_sits_in_a_session_of_its_own_so_that_ctrl_c_does_not_reach_it(make: Callable[..., Child]) -> None:
    child = make()
    child.start()
    assert os.getsid(child.pid) == child.pid


PARENT = f"""
import os, sys
from pathlib import Path
from services.conductor.processes import Child, Command
where = Path(sys.argv[1])
child = Child(Command(name="part", argv=[sys.executable, "-c", {WAITS!r}], env=dict(os.environ),
                      log=where / "part.log", pid_file=where / "part.json", is_ready=lambda: True,
                      answers=lambda: True))
child.start()
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_child_dies_with_its_killed_conductor(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert psutil.wait_procs([child], timeout=10)[1] == []


def test_what_a_killed_conductor_left_behind_is_stopped_and_a_reused_pid_is_spared(tmp_path: Path) -> None:
    left = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.DEVNULL)
    other = subprocess.Popen([sys.executable, "-c", WAITS], stdout=subprocess.DEVNULL)
    created = psutil.Process(left.pid).create_time()
    (tmp_path / "redis.json").write_text(json.dumps({"pid": left.pid, "created": created}))
    (tmp_path / "replay.json").write_text(json.dumps({"pid": other.pid, "created": created - 1000}))
    (tmp_path / "torn.json").write_text("{")
    events = stop_stale(tmp_path)
    assert [(event.name, event.pid) for event in events] == [("redis", left.pid)]
    assert not psutil.pid_exists(left.pid)
    left.wait()
    assert other.poll() is None
    other.kill()
    other.wait()
    assert list(tmp_path.iterdir()) == []
