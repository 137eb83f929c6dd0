"""`ramp run` as a user starts it: a process of its own, watched from outside, and its books checked afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import psutil

from ramp.replay.shard import ShardConfig
from ramp.replay.shards import Shards
from services.common.settings import child_environment, load_settings
from services.conductor import journal
from services.conductor.descendants import role_of
from tests.loop.fleet import assert_whole
from tests.unit.sources import ROOT
from tests.waiting import eventually

PATIENCE_S = 280.0  # for anything; machines in tests are busy
LONG_JOINT_STAGE = ("stages.joint_updates=150", "training.publish_every=30", "training.relabel_every=60")
SERVICES = ("replay", "redis", "actor", "learner")
E = TypeVar("E", bound=journal.Event)


class LaunchedRun:
    """One `ramp run` of the counting recipe in `folder`."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.folder = folder
        self.output = folder.with_name(folder.name + ".out")
        command = [sys.executable, "-m", "services.cli.main", "run", *words, "--dir", str(folder)]
        self.began = len(self.events())
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}", **environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def events(self) -> list[journal.Event]:
        """The journal of all conductors of this directory."""
        return journal.read(self.folder / "journal.jsonl")

    def news(self, kind: type[E]) -> list[E]:
        """This conductor's events of one kind."""
        return [event for event in self.events()[self.began :] if isinstance(event, kind)]

    def until(self, condition: Callable[[], bool]) -> None:
        """Returns as soon as `condition` holds; fails with the run's last words where it ends before, or never does."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            try:
                self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                assert time.monotonic() < deadline, f"it never came true\n{self.last_words()}"
                continue
            assert condition(), f"the run ended with code {self.process.returncode}\n{self.last_words()}"

    def is_in_joint_stage(self) -> bool:
        """Actors and learner work side by side, and have for a moment."""
        stages = {event.stage for event in self.events() if isinstance(event, journal.Stage)}
        return "joint" in stages and "done" not in stages and self.rollouts() >= 5

    def rollouts(self) -> int:
        return sum(event.summary.purpose == "rollout" for event in self.news(journal.Episode))

    def pids(self, role: str) -> list[int]:
        """Processes of a role, below the conductor."""
        return [process.pid for process in self.processes({role})]

    def processes(self, roles: Collection[str] = SERVICES) -> list[psutil.Process]:
        """Processes of these roles, below the conductor."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if role_of(" ".join(process.cmdline())) in roles:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def finish(self) -> int:
        """Wait for the end; the exit code."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the run does not end\n{self.last_words()}") from None

    def kill(self) -> None:
        """The conductor, with everything below it: what a test leaves must not disturb the next."""
        if self.process.poll() is None:
            left = psutil.Process(self.process.pid).children(recursive=True)
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            for process in left:
                with_pid(process)
            psutil.wait_procs(left, timeout=20)

    def last_words(self) -> str:
        logs = sorted((self.folder / "logs").glob("*.log"))
        parts = [f"== {path.name}\n{tail(path)}" for path in (self.output, *logs)]
        return "\n".join(parts)


def resume_to_the_end(folder: Path) -> None:
    """`ramp run --resume` of a run that was left, until it is done."""
    resumed = LaunchedRun(folder, "--resume")
    try:
        assert resumed.finish() == 0, resumed.last_words()
    finally:
        resumed.kill()


def assert_stops_in_order(run: LaunchedRun, number: signal.Signals) -> None:
    """A signal ends it, and every process of it, and the last words tell how to go on."""
    children = run.processes()
    run.process.send_signal(number)
    assert run.finish() == 130, run.last_words()
    assert run.news(journal.RunFinished)[-1].reason == "interrupted"
    stopped = {event.name for event in run.news(journal.Process) if event.what == "stopped"}
    assert stopped >= {"learner", "actor-0", "replay", "redis"}
    eventually(lambda: all(map(has_ended, children)))
    assert "ramp run --resume" in run.output.read_text()


def has_ended(process: psutil.Process) -> bool:
    """Also where nobody has taken note of its end; never fooled by a number that was given away again."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def with_pid(process: psutil.Process) -> None:
    """Kill one process if it still is there."""
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def tail(path: Path, lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def stages(events: Sequence[journal.Event]) -> list[str]:
    """Stages in the order in which they were entered, each once."""
    return list(dict.fromkeys(event.stage for event in events if isinstance(event, journal.Stage)))


def labels(events: Sequence[journal.Event]) -> Counter[str]:
    """How often an evaluation of each label was completed."""
    return Counter(event.label for event in events if isinstance(event, journal.Evaluation))


def assert_books_agree(folder: Path) -> None:
    """Replay holds exactly the episodes that were reported or adopted, each once, whole, step by step; and no actor
    has anything left to deliver."""
    events = journal.read(folder / "journal.jsonl")
    reported = {
        event.summary.episode_id: event.summary.steps
        for event in events
        if isinstance(event, journal.Episode)
        and event.summary.purpose != "eval"
        and event.summary.extra["acknowledged"]
    }
    adopted = {event.episode_id: event.steps for event in events if isinstance(event, journal.Adopted)}
    ids = [event.summary.episode_id for event in events if isinstance(event, journal.Episode)]
    assert len(ids) == len(set(ids)), "an episode was reported twice"
    settings = load_settings(folder / "settings.yaml")
    with closing(Shards(folder / "replay", ShardConfig())) as shards:
        stored = shards.query()
        assert {info.episode_id: info.steps for info in stored} == {**adopted, **reported}
        assert len(stored) == len({info.episode_id for info in stored})
        assert len(stored) == len({(info.task, info.seed, info.tables) for info in stored}), "a start was used twice"
        for info in stored:
            assert_whole(shards.fetch(info.episode_id), settings.env.frame_stride)
    assert list(folder.glob("spool/*/*/*.spool")) == []
