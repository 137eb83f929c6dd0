"""Everything of a run on one machine, in the background: the run itself, the policy server, Prometheus and Grafana.

    python -m services.conductor.stack --dir runs/up -- counting seed=1      # words of `ramp run`

`ramp up` starts it, `ramp down` ends it by SIGTERM. It starts again what dies, and writes in DIR/stack/state.json what
there is and where. What dies again and again is given up, and the others go on.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from ramp.errors import RampError, Unavailable
from services.common.settings import child_environment
from services.conductor import monitoring, processes, targets, topology
from services.conductor.journal import Process
from services.conductor.ports import free_port, listens
from services.conductor.processes import Child, Command
from services.conductor.rundir import Lock, RunDir

logger = logging.getLogger("services.conductor.stack")

RUN = "run"
RUN_READY_S, RUN_STOP_S = 300.0, 120.0  # learner, Ray and all; the same in order
TICK_S = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class PartState:
    """One part, for a person."""

    name: str
    address: str
    state: str  # of Child.state, or why it is not there


def home_of(rundir: RunDir) -> RunDir:
    """Where the stack of a run keeps its own: lock, state, logs, targets."""
    return RunDir(rundir.path / "stack")


def state_file(rundir: RunDir) -> Path:
    """What there is and where, while the stack is up."""
    return home_of(rundir).path / "state.json"


def read_state(rundir: RunDir) -> list[PartState]:
    """What the stack of this run has written last; nothing before all of it is up."""
    file = state_file(rundir)
    return [PartState(**each) for each in json.loads(file.read_text())] if file.exists() else []


class Stack:
    """All parts of one run directory. Has to be used from the main thread, as its children."""

    def __init__(self, rundir: RunDir, words: Sequence[str]) -> None:
        self._rundir, self._home, self._words = rundir, home_of(rundir), words
        self._children: list[Child] = []
        self._states: dict[str, PartState] = {}

    def start(self) -> None:
        """Returns when all of it serves, or was given up where a run does without. Raises Unavailable for what it does
        need, OSError."""
        for event in processes.stop_stale(self._home.pids):
            _log(event)
        self._add(RUN, "", self._run())
        self._add_workloads()
        found = {part.name: part for part in monitoring.parts(self._home.path, self._targets())}
        for name, why in monitoring.MISSING.items():
            if name in found:
                self._add_monitor(found[name])
            else:
                self._states[name] = PartState(name=name, address="", state=why)
        self._tell()

    def look(self) -> None:
        """Start again what has died; called every TICK_S."""
        for child in list(self._children):
            try:
                for event in child.poll():
                    _log(event)
            except Unavailable as error:
                logger.error("%s", error)
                self._children.remove(child)
                self._say(child, f"given up: {error}")
            else:
                self._say(child, child.state)
        self._tell()

    def stop(self) -> None:
        """In the reverse order of starting."""
        for child in reversed(self._children):
            event = child.stop(RUN_STOP_S if child.command.name == RUN else processes.STOP_S)
            if event is not None:
                _log(event)
        state_file(self._rundir).unlink(missing_ok=True)

    def _add_workloads(self) -> None:
        """Those of the topology whose program is there."""
        for role in topology.workloads():
            if find_spec(role.program.rpartition(".")[0]) is None:
                continue
            port, metrics_port = free_port(monitoring.HOST, role.port("grpc")), free_port(monitoring.HOST)
            options = ["--settings", str(self._rundir.settings), "--dir", str(self._rundir.path)]
            options += ["--host", monitoring.HOST, "--port", str(port), "--metrics-port", str(metrics_port)]
            found = targets.group(f"{monitoring.HOST}:{metrics_port}", self._rundir.path.name, role.name, role.name)
            targets.write(self._home.targets, [found])
            argv = [sys.executable, "-m", role.program, *options]
            self._add(role.name, f"{monitoring.HOST}:{port}", self._command(role.name, argv, _at(port)))

    def _add_monitor(self, part: monitoring.Part) -> None:
        """The run does not need it: one that does not come up (an engine without a daemon, an image that cannot be had)
        is given up, and says why."""
        command = self._command(part.name, list(part.argv), _at(part.port), child_environment(**part.env))
        try:
            self._add(part.name, part.address, command)
        except Unavailable as error:
            logger.error("%s", error)
            child = self._children.pop()
            child.stop()
            self._say(child, f"given up: {error}")

    def _add(self, name: str, address: str, command: Command) -> None:
        child = Child(command)
        child.start()
        self._children.append(child)
        self._states[name] = PartState(name=name, address=address, state=child.state)
        for event in processes.wait_ready([child], command.patience_s):
            _log(event)
        self._say(child, child.state)

    def _run(self) -> Command:
        began, status = time.time(), self._rundir.view
        words = ["run", *self._words, "--dir", str(self._rundir.path), "--keep-going"]

        def is_ready() -> bool:
            return status.exists() and status.stat().st_mtime > began

        argv = [sys.executable, "-m", "services.cli.main", *words]
        return self._command(RUN, argv, is_ready, patience_s=RUN_READY_S, ends=True)

    def _command(
        self,
        name: str,
        argv: list[str],
        is_ready: Callable[[], bool],
        env: dict[str, str] | None = None,
        *,
        patience_s: float = processes.READY_S,
        ends: bool = False,
    ) -> Command:
        return Command(
            name=name,
            argv=argv,
            env=env or processes.python_environment(),
            log=self._home.log(name),
            pid_file=self._home.pids / f"{name}.json",
            is_ready=is_ready,
            answers=lambda: True,
            patience_s=patience_s,
            ends=ends,
        )

    def _targets(self) -> list[Path]:
        return [self._rundir.targets, self._home.targets]

    def _say(self, child: Child, state: str) -> None:
        name = child.command.name
        self._states[name] = PartState(name=name, address=self._states[name].address, state=state)

    def _tell(self) -> None:
        text = json.dumps([asdict(each) for each in self._states.values()], indent=1)
        file = state_file(self._rundir)
        if not file.exists() or file.read_text() != text:
            partial = file.with_name("state.json.partial")
            partial.write_text(text)
            partial.replace(file)


def main(arguments: list[str] | None = None) -> int:
    """0 after an orderly stop, 1 where something did not start."""
    parser = argparse.ArgumentParser(prog="python -m services.conductor.stack", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="the run's directory")
    parser.add_argument("words", nargs="*", help="words of `ramp run`")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        return _serve(RunDir(options.dir.resolve()), options.words)
    except (RampError, OSError) as error:
        logger.error("%s", error)
        return 1


def _serve(rundir: RunDir, words: Sequence[str]) -> int:
    home = home_of(rundir)
    home.make()
    lock, stack = Lock(home), Stack(rundir, words)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        stack.start()
        while True:
            time.sleep(TICK_S)
            stack.look()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        stack.stop()
        lock.release()


def _at(port: int) -> Callable[[], bool]:
    return lambda: listens(monitoring.HOST, port)


def _log(event: Process) -> None:
    logger.info("%s %s (pid %d) %s", event.name, event.what, event.pid, event.detail)


if __name__ == "__main__":
    sys.exit(main())
