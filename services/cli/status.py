"""`ramp status`: what a run does now, or how it ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from services.cli.options import Dir, Json

if TYPE_CHECKING:
    from services.conductor.rundir import RunDir


def status(dir_: Dir = None, as_json: Json = False) -> int:
    """Show the present state of a run: the same picture as its own terminal.

    \b
    Examples:
      ramp status
      ramp status --dir runs/try
      ramp status --json | jq .stage
    """
    from rich.console import Console

    from ramp.errors import NotFound
    from services.conductor import rundir
    from services.conductor.terminal import picture
    from services.conductor.view import view_from

    found = rundir.find(dir_)
    if not found.view.exists():
        raise NotFound(f"{found.path} has no {found.view.name} yet: the run has not come up")
    state = json.loads(found.view.read_text())
    running = rundir.is_held(found)
    if as_json:
        print(json.dumps({"running": running, **state}))
        return 0
    console = Console()
    console.print(picture(view_from(state), width=console.width))
    if not running:
        console.print(_ended(found), markup=False, highlight=False, soft_wrap=True)
    return 0


def _ended(found: RunDir) -> str:
    from services.conductor.journal import read
    from services.conductor.ledger import fold

    if fold(read(found.journal)).finished:
        return f"Done. Its report: {found.path / 'report.html'}"
    return f"Not running now. Go on with: ramp run --resume --dir {found.path}"
