"""The data of a comparison: one run of a recipe per seed, made once and shared by all comparisons of a folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from ramp.errors import Invalid, RampError
from ramp.recipes.recipe import Recipe
from services.common.settings import Settings, child_environment, compose, load_settings
from services.conductor.journal import read
from services.conductor.ledger import fold
from services.conductor.rundir import RunDir


def data(folder: Path, seed: int) -> RunDir:
    """Where the data of a seed lie."""
    return RunDir((folder / f"seed-{seed}").resolve())


def collect(recipe: str, settings: Sequence[str], folder: Path, seed: int) -> None:
    """Make the data of a seed, or go on with them, as `ramp run RECIPE` with these settings does. Raises
    RampError; Invalid where other settings have made what lies there."""
    rundir = data(folder, seed)
    started = rundir.settings.exists()
    if started:
        _check(rundir, compose(recipe, None, [*settings, f"seed={seed}"]))
        if fold(read(rundir.journal)).finished:
            return
    words = ["--resume"] if started else [recipe, *settings, f"seed={seed}"]
    command = [sys.executable, "-m", "services.cli.main", "run", "--dir", str(rundir.path), *words]
    if subprocess.run(command, env=child_environment(), check=False).returncode:
        raise RampError(f"the data of seed {seed} were not finished; start again to go on with {rundir.path}")


def _check(rundir: RunDir, wanted: Settings) -> None:
    found = load_settings(rundir.settings)
    for each in fields(Recipe):
        if each.name != "sampling" and getattr(found, each.name) != getattr(wanted, each.name):
            raise Invalid(f"{each.name} of {rundir.path}", getattr(found, each.name), "choose another --dir")


def cells_of(folder: Path, name: str) -> Path:
    """Where the cells of a comparison lie."""
    return folder / "cells" / name
