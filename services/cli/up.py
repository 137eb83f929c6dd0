"""`ramp up` and `ramp down`: a run with everything around it on this machine, in the background."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ramp.errors import Timeout, Unavailable

if TYPE_CHECKING:
    from services.conductor.rundir import RunDir

UP_S, DOWN_S = 420.0, 180.0  # for all parts to serve, and to end in order
LOOK_S = 0.2

Home = Annotated[Path, typer.Option("--dir", "-d", help="Where the run lives.")]
HOME = Path("runs/up")


def up(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE KEY=VALUE", help="A recipe and settings laid over it.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML file laid over the recipe.", show_default=False)
    ] = None,
    dir_: Home = HOME,
) -> int:
    """Start a run with everything around it in the background, or go on with the one in --dir.

    Redis, replay, actors and learner (the run), the policy server, Prometheus with the chart's rules, and Grafana with
    the chart's dashboards; the last two where the machine has them. What dies is started again.

    \b
    Examples:
      ramp up
      ramp up debug seed=1
      ramp up counting --dir runs/try
      ramp down --dir runs/try
    """
    from services.conductor.rundir import RunDir, is_held
    from services.conductor.stack import home_of

    rundir = RunDir(dir_.resolve())
    if is_held(home_of(rundir)):
        print(f"{_shown(dir_)} is up already")
        _tell(rundir, dir_)
        return 0
    _check(words or [], config, rundir)
    _wait_up(_launch(words or [], config, rundir), rundir)
    print(f"{_shown(dir_)} is up")
    _tell(rundir, dir_)
    return 0


def down(dir_: Home = HOME) -> int:
    """Stop in order all that `ramp up` has started; the run's data stay.

    \b
    Examples:
      ramp down
      ramp down --dir runs/try
    """
    from services.conductor.processes import stop_stale
    from services.conductor.rundir import RunDir, is_held
    from services.conductor.stack import home_of

    home, shown = home_of(RunDir(dir_.resolve())), _shown(dir_)
    was_up = is_held(home)
    if was_up:
        os.kill(int(home.lock.read_text()), signal.SIGTERM)
        _wait_down(home)
    left = stop_stale(home.pids)  # by one that was killed
    print(f"stopped; go on with: ramp up --dir {shown}" if was_up or left else f"nothing is up in {shown}")
    return 0


def _wait_down(home: RunDir) -> None:
    """Raises Timeout."""
    from services.conductor.rundir import is_held

    until = time.monotonic() + DOWN_S
    while is_held(home):
        if time.monotonic() > until:
            raise Timeout(f"process {home.lock.read_text().strip()} does not end within {DOWN_S:g} s; kill it")
        time.sleep(LOOK_S)


def _check(words: list[str], config: Path | None, rundir: RunDir) -> None:
    """What the run would refuse is refused here. Raises Invalid, NotFound."""
    from services.cli.run import split
    from services.common.continued import continued
    from services.common.settings import compose, load_settings

    recipe, overrides = split(words)
    wanted = compose(recipe, config, overrides)
    if rundir.settings.exists() and (words or config):
        continued(load_settings(rundir.settings), wanted)


def _launch(words: list[str], config: Path | None, rundir: RunDir) -> subprocess.Popen[bytes]:
    from services.conductor.processes import python_environment
    from services.conductor.stack import home_of, state_file

    home = home_of(rundir)
    home.make()
    state_file(rundir).unlink(missing_ok=True)  # of a stack that was killed
    given = [*words, *(["--config", str(config.resolve())] if config else [])]
    command = [sys.executable, "-m", "services.conductor.stack", "--dir", str(rundir.path), "--", *given]
    with home.log("stack").open("ab") as log:
        return subprocess.Popen(
            command,
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _wait_up(stack: subprocess.Popen[bytes], rundir: RunDir) -> None:
    """Until it has written what there is. Raises Unavailable."""
    from services.conductor.processes import last_line
    from services.conductor.stack import home_of, read_state

    until, log = time.monotonic() + UP_S, home_of(rundir).log("stack")
    while not read_state(rundir):
        if stack.poll() is not None:
            raise Unavailable(f"it does not start; the end of {log}: {last_line(log)}")
        if time.monotonic() > until:
            stack.terminate()
            raise Unavailable(f"it is not up after {UP_S:g} s; see {log}")
        time.sleep(LOOK_S)


def _tell(rundir: RunDir, shown: Path) -> None:
    """Addresses, and what to do next."""
    from services.conductor.stack import home_of, read_state

    for part in read_state(rundir):
        print(f"  {part.name:12} {part.address or part.state}" + (f"  ({part.state})" if part.address else ""))
    print(f"  {'replay':12} {rundir.replay_address()}")
    print(f"  {'logs':12} {_shown(home_of(rundir).path / 'logs')}, {_shown(rundir.path / 'logs')}")
    print("next:")
    for words in ("status", "data query 'success = 1'", "down"):
        print(f"  ramp {words} --dir {_shown(shown)}")


def _shown(path: Path) -> str:
    """Relative where that is shorter."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
