"""`ramp data`: what a run has stored."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import Dir, Json

if TYPE_CHECKING:
    import pyarrow as pa

    from services.query.library import Library

BRIEF = (
    *("episode_id", "task", "outcome", "steps", "seconds", "interventions", "intervention_rate"),
    *("policy_version_max", "mean_value", "mean_advantage"),
)
"""Columns of whole episodes on the terminal; programs get all."""


def query(
    sql: Annotated[str, typer.Argument(help="A condition on episodes, or a SELECT over episodes and steps.")],
    dir_: Dir = None,
    as_json: Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write a Parquet file instead.")] = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="Rows on the terminal; 0: all.")] = 40,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that the query may take.")] = 60.0,
    as_view: Annotated[str, typer.Option("--as-view", help="Make a view of them: a name.", show_default=False)] = "",
) -> int:
    """Ask the episodes of a run by SQL; also while it runs, of what is on the disk by then. Changes nothing.

    A view made of the answer is a table of these episodes, which learners sample by its name.

    The table episodes has a row per ended episode, steps a row per step (columns: SELECT * ... LIMIT 1, or --json).

    \b
    Examples:
      ramp data query "task='drawer-open-v3' and outcome='failure' and intervention_rate>0.2"
      ramp data query "select task, count(*), avg(success), avg(steps) from episodes group by task"
      ramp data query "select episode_id, min(advantage) from steps group by 1 order by 2 limit 5" --json
      ramp data query "policy_version_min > 3" --out late.parquet
      ramp data query "task='drawer-open-v3' and intervention_rate>0.2" --as-view hard-drawers
    """
    from rich.console import Console

    from ramp.errors import Invalid
    from services.query import formats
    from services.query.sql import ask

    if as_json + as_csv + (out is not None) + bool(as_view) > 1:
        raise Invalid("--json, --csv, --out, --as-view", "more than one", "choose one form of output")
    if out is not None and (out.suffix != ".parquet" or not out.parent.is_dir()):
        raise Invalid("--out", out, "give a name that ends in .parquet, in a folder that exists")
    found = ask(_library(dir_), sql, timeout)
    if as_view:
        _make_view(as_view, found, sql, dir_)
    elif out is not None:
        formats.write_parquet(found, out)
        print(f"{found.num_rows} rows in {out}")
    elif as_json or as_csv:
        (formats.write_json if as_json else formats.write_csv)(found, sys.stdout)
    else:
        whole = set(BRIEF) <= set(found.column_names)
        console = Console(width=None if sys.stdout.isatty() else 10_000)
        formats.print_table(found, BRIEF if whole else found.column_names, rows, console)
    return 0


def _make_view(name: str, found: pa.Table, sql: str, directory: Path | None) -> None:
    """Raises Invalid where the rows do not say which episodes they are of."""
    from ramp.errors import Invalid
    from services.cli.keep import opened

    if "episode_id" not in found.column_names:
        raise Invalid("--as-view", f"a query of {', '.join(found.column_names)}", "select episode_id as well")
    with opened(directory) as replay:
        made = replay.view(name, found["episode_id"].to_pylist(), sql)
    print(f"{made.episodes} episodes in view {name}: sample it as a table; `ramp data views --drop {name}` forgets it")


def show(
    episode: Annotated[str, typer.Argument(help="An episode_id, as `ramp data query` prints it.")],
    dir_: Dir = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write.", show_default="EPISODE.rrd")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in Rerun's viewer.")] = False,
) -> int:
    """Write one episode as a Rerun recording: camera pictures, proprioception, actions, rewards, who acted, and the
    newest value, advantage and indicator, by step and by seconds. Also while the run goes on.

    \b
    Examples:
      ramp data show rollout-reach-v3-20076-01f7230755d04b6e9760f3845f8c4369
      ramp data show demo-hammer-v3-3 --dir runs/try --out hammer.rrd --open
    """
    from ramp.errors import Invalid, Unavailable

    try:
        from services.query import viewer
    except ImportError as error:
        remedy = ".venv/bin/python -m pip install --constraint requirements.lock rerun-sdk"
        raise Unavailable(f"Rerun is not installed ({error.name}); install it with: {remedy}") from error
    place = out or Path(f"{episode}.rrd")
    if not place.parent.is_dir():
        raise Invalid("--out", place, "give a name in a folder that exists")
    viewer.write(*_library(dir_).episode(episode), place)
    print(place)
    if open_:
        viewer.open_viewer(place)
    return 0


def _library(directory: Path | None) -> Library:
    """Raises NotFound where there is no run, and where its experience lies with a server elsewhere."""
    from ramp.errors import NotFound
    from services.common.settings import load_settings
    from services.conductor import rundir
    from services.query.library import Library

    found = rundir.find(directory)
    settings = load_settings(found.settings)
    if settings.replay.address and not found.replay.exists():
        raise NotFound(
            f"{found.path} keeps no episodes: the replay server at {settings.replay.address} does; ask there"
        )
    return Library(found.replay, settings.advantage)
