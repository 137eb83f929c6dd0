"""`ramp run`: start a run, or go on with one."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from ramp.errors import Invalid, RampError

if TYPE_CHECKING:  # imported where they are used: `ramp --help` must not load torch and Ray
    from services.common.settings import Settings
    from services.conductor.rundir import RunDir

INTERRUPTED = 130
OVERLAP_S = 60.0  # in which the conductor before may still be stopping, for --keep-going


def run(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="RECIPE KEY=VALUE", help="A recipe and settings laid over it.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="YAML file laid over the recipe.", show_default=False)
    ] = None,
    dir_: Annotated[
        Path | None, typer.Option("--dir", "-d", help="Where the run lives.", show_default="runs/RECIPE-TIME")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --dir, or the latest one.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="Start the run in --dir, or go on with it where it stands.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print all settings with their meaning, and stop.")] = False,
) -> int:
    """Run all stages: demonstrations, world model, policy, then both together while actors collect.

    \b
    Recipes:
      metaworld   several robot-arm tasks, one policy from pixels; at most 20 minutes on two cores (the default)
      debug       two of its tasks, a minute or two: look at the machinery
      study       the data of `ramp bench`: six tasks, a cloned policy with a person beside it
      full        the default tasks with PaliGemma-2 3B and Wan2.2-TI2V-5B, on machines with GPUs
      counting    a test world, seconds

    \b
    Examples:
      ramp run
      ramp run debug --dir runs/try seed=1
      ramp run tasks=reach-v3,drawer-open-v3 stages.joint_updates=5000
      ramp run --show | grep publish
      ramp run full policy.weights=/models/paligemma2 world.weights=/models/wan2.2
      ramp run --resume
      ramp run counting --dir runs/mine --keep-going

    Ctrl-C stops in order and says how to go on. A run's directory holds its settings, data, weights, logs and report.
    --keep-going is for whoever starts it again and again: the same words begin the run, go on with it after any death,
    and find it done. The place (learner, actors, replay, redis, ray, metrics) is then what is given now.
    """
    recipe, overrides = split(words or [])
    if show and (resume or keep_going):
        remedy = "leave one out: a run's own settings stand in its settings.yaml"
        raise Invalid("--show", "with --resume or --keep-going", remedy)
    if resume:
        return _resume(dir_, recipe, config, overrides)
    from services.common.settings import compose

    settings = compose(recipe, config, overrides)
    if keep_going:
        return _keep_going(dir_, settings, as_it_is=not (words or config))
    if show:
        _show(settings)
        return 0
    path = dir_ or _directory(settings.dir, settings.recipe)
    if (path / "settings.yaml").exists():
        raise Invalid("--dir", path, "it holds a run already: add --resume to go on with it, or choose another")
    _check_models(settings)
    return _play(replace(settings, dir=str(path.resolve())))


def split(words: Sequence[str]) -> tuple[str, list[str]]:
    """The recipe (the first word without "=") and the overrides."""
    names = [word for word in words if "=" not in word]
    if len(names) > 1:
        raise Invalid("arguments", " ".join(names), "give one recipe; settings are written key=value")
    return (names[0] if names else ""), [word for word in words if "=" in word]


def _directory(chosen: str, recipe: str) -> Path:
    """`dir` where somebody has set it, otherwise one with the time in its name."""
    if chosen != "runs/latest":
        return Path(chosen)
    return Path("runs") / f"{recipe}-{datetime.now():%Y%m%d-%H%M%S}"


def _resume(directory: Path | None, recipe: str, config: Path | None, overrides: Sequence[str]) -> int:
    from services.common.continued import MAY_CHANGE
    from services.common.settings import compose
    from services.conductor import rundir

    found = rundir.find(directory)
    if recipe or config:
        raise Invalid("--resume", recipe or config, "a resumed run keeps its recipe and settings; leave that out")
    for override in overrides:
        if override.split(".", 1)[0] not in MAY_CHANGE:
            raise Invalid("--resume", override, f"only {', '.join(f'{name}.*' for name in MAY_CHANGE)} may change")
    return _go_on(found, compose("", found.settings, overrides))


def _keep_going(directory: Path | None, wanted: Settings, *, as_it_is: bool) -> int:
    """The run in `directory`, from wherever it stands; `as_it_is` where nothing was asked for."""
    from services.common.continued import continued
    from services.common.settings import load_settings
    from services.conductor import rundir

    if directory is None:
        raise Invalid("--keep-going", "without --dir", "name the directory in which the run goes on")
    if not (directory / "settings.yaml").exists():
        _check_models(wanted)
        return _play(replace(wanted, dir=str(directory.resolve())), OVERLAP_S)
    found = rundir.find(directory)
    stored = load_settings(found.settings)
    return _go_on(found, stored if as_it_is else continued(stored, wanted), OVERLAP_S)


def _go_on(found: RunDir, settings: Settings, patience_s: float = 0.0) -> int:
    """With a run that was begun."""
    from ramp.replay.places import check_count
    from ramp.types import Kind
    from services.clients.registry import DirectoryRegistry
    from services.conductor.journal import read
    from services.conductor.ledger import fold

    if fold(read(found.journal)).finished:
        print(f"{_shown(found.path)} is done: see its report.html, or `ramp eval`")
        return 0
    if not settings.replay.address:
        check_count(found.replay, settings.replay.shards)
    if not DirectoryRegistry(found.registry).versions(Kind.POLICY):  # later its own checkpoints hold the weights
        _check_models(settings)
    return _play(replace(settings, dir=str(found.path)), patience_s)


def _check_models(settings: Settings) -> None:
    """What would otherwise fail in the learner, minutes later. The small models need neither a look nor torch."""
    if {settings.policy.architecture, settings.world.architecture} != {"small"}:
        from ramp.models.build import check_start

        check_start(settings.policy, settings.world)


def _show(settings: Settings) -> None:
    from services.common.settings import describe

    rows = describe(settings)
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        print(f"{row.key:{widths[0]}}  {row.value:{min(widths[2], 40)}}  {row.doc}")


def _play(settings: Settings, patience_s: float = 0.0) -> int:
    """Run under the directory's lock, with everything that libraries print going to the conductor's log. Another
    conductor has `patience_s` to end."""
    from services.common.settings import save
    from services.conductor.rundir import Lock, RunDir, point_latest

    rundir = RunDir(Path(settings.dir))
    lock = Lock(rundir, patience_s)
    try:
        rundir.make()
        save(settings, rundir.settings)
        point_latest(rundir)
        with _own_screen(rundir.log("conductor")) as screen:
            reason = _conduct(settings, rundir, screen)
    finally:
        lock.release()
    if reason != "done":
        _last_words(f"stopped in order; go on with: ramp run --resume --dir {_shown(rundir.path)}")
        return INTERRUPTED
    _last_words(f"report: {_shown(rundir.path / 'report.html')}")
    return 0


def _conduct(settings: Settings, rundir: RunDir, screen: TextIO) -> str:
    from rich.console import Console

    from services.conductor.conductor import Conductor
    from services.conductor.report import write_report
    from services.conductor.terminal import Terminal

    try:
        with Terminal(Console(file=screen)) as terminal:
            terminal.say(f"run {settings.recipe} in {_shown(rundir.path)}")
            reason = Conductor(settings, rundir, show=terminal.show).run()
    except Exception:
        with contextlib.suppress(RampError, OSError):  # a run that failed has a report too; why it failed matters more
            write_report(rundir.path)
        raise
    write_report(rundir.path)
    return reason


def _last_words(text: str) -> None:
    """Print, also where nobody listens any more; then the interpreter's own flush at the end must not fail either."""
    try:
        print(text, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)


def _shown(path: Path) -> str:
    """Relative where that is shorter."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


@contextlib.contextmanager
def _own_screen(log: Path) -> Iterator[TextIO]:
    """The terminal for us alone; what libraries print, in Python or in C++, goes to a file for as long as the body
    lasts. Ray reports deaths on standard output, in the middle of the picture."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    screen = open(kept[0], "w", closefd=False)  # noqa: SIM115
    try:
        with log.open("ab") as file:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
        yield screen
    finally:
        with contextlib.suppress(OSError):  # it may have gone
            screen.close()
        sys.stdout.flush()
        sys.stderr.flush()
        for number, own in zip((1, 2), kept, strict=True):
            os.dup2(own, number)
            os.close(own)
