"""`ramp data export`, `check` and `import`: LeRobot datasets out of a run and into a replay server."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.options import Dir, Json

if TYPE_CHECKING:
    from ramp.datasets.dataset import Claim
    from ramp.replay.info import EpisodeInfo
    from ramp.replay.shards import Shards
    from ramp.types import Encoding
    from services.clients.credentials import Credentials
    from services.conductor.rundir import RunDir

Folder = Annotated[Path, typer.Argument(help="A LeRobot folder, v3.0 or v2.1: the one that holds meta/ and data/.")]
Cast = Annotated[bool, typer.Option("--cast", help="Round states and actions that are not float32.")]


def export(
    folder: Annotated[Path, typer.Argument(help="The LeRobot v3.0 folder to write; it must not exist.")],
    dir_: Dir = None,
    table: Annotated[str, typer.Option("--table", help="Only of this table: demos or online.")] = "",
    task: Annotated[list[str] | None, typer.Option("--task", help="Only of this task; may be repeated.")] = None,
    fps: Annotated[
        float | None, typer.Option("--fps", help="Steps per second.", show_default="as the timestamps say")
    ] = None,
    lossless: Annotated[bool, typer.Option("--lossless", help="Pictures as PNG in the parquet files, no mp4.")] = False,
) -> int:
    """Write a stopped run's episodes as a LeRobot v3.0 dataset, with interventions and advantages beside them.

    States, actions and rewards keep every bit; pictures become H.264 video, or keep every bit with --lossless. The
    folder appears when it is complete. A run that goes on holds its replay directory: stop it first.

    \b
    Examples:
      ramp data export datasets/mine
      ramp data export datasets/drawer --table online --task drawer-open-v3
      ramp data export datasets/exact --dir runs/try --lossless
    """
    from ramp.datasets.exporter import Exporter
    from ramp.replay.shard import ShardConfig
    from ramp.replay.shards import Shards
    from services.common.settings import load_settings
    from services.conductor import rundir

    found = rundir.find(dir_)
    _refuse_running(found)
    config = ShardConfig(advantage=load_settings(found.settings).advantage)
    with closing(Shards(found.replay, config)) as shards:
        chosen = _chosen(shards, table, task or [])
        exporter = Exporter(folder, fps=fps, lossless=lossless, label_version=shards.info().annotation_version)
        try:
            with typer.progressbar(chosen, label="export", file=sys.stderr) as bar:
                for info in bar:
                    exporter.add(shards.fetch(info.episode_id), shards.labels(info.episode_id))
            print(exporter.finish())
        except BaseException:
            exporter.abandon()
            raise
    return 0


def _refuse_running(found: RunDir) -> None:
    from ramp.errors import Unavailable
    from services.conductor import rundir

    if rundir.is_held(found):
        raise Unavailable(f"{found.path} is running: stop it first, then `ramp run --resume` goes on")
    if not found.replay.is_dir():
        raise Unavailable(f"{found.path} has no replay directory of its own")


def _chosen(shards: Shards, table: str, tasks: Sequence[str]) -> list[EpisodeInfo]:
    from ramp.errors import NotFound

    there = shards.query(table)
    chosen = [info for info in there if not tasks or info.task in tasks]
    if not chosen:
        known = sorted({info.task for info in there})
        raise NotFound(f"no episode of {', '.join(tasks) or 'any task'}: there are {', '.join(known) or 'none at all'}")
    return chosen


def check(folder: Folder, cast: Cast = False, as_json: Json = False) -> int:
    """Read a LeRobot folder's index and numbers, and say what it holds; quantiles that it lacks are computed.

    Pictures are not decoded. A malformed folder is refused with the file, the field and the remedy.

    \b
    Examples:
      ramp data check datasets/mine
      ramp data check datasets/mine --json
    """
    from ramp.datasets.dataset import Dataset, Reading

    found = Dataset(folder, Reading(cast=cast)).describe()
    print(json.dumps(found)) if as_json else _tell(found)
    return 0


def _tell(found: dict[str, Any]) -> None:
    print(f"LeRobot {found['version']}, {found['fps']:g} rows/s, robot {found['robot'] or 'not said'}")
    print(f"{found['episodes']} episodes, {found['steps']} steps")
    for instruction, count in found["tasks"].items():
        print(f"  {count:5} {instruction}")
    for camera, (height, width, _) in found["cameras"].items():
        print(f"camera {camera}: {height} x {width}")
    for key, stats in found["stats"].items():
        low, high = (" ".join(f"{value:.4g}" for value in stats[name]) for name in ("q01", "q99"))
        print(f"{key}: {len(stats['q01'])} wide; q01 {low}; q99 {high}")
    if found["left_out"]:
        print(f"not imported: {', '.join(found['left_out'])}")


def import_(
    folder: Folder,
    dir_: Dir = None,
    replay: Annotated[
        str,
        typer.Option(
            "--replay",
            help="Host:port of a server (NAME=HOST:PORT,... of several shards), or a YAML file: address, token, ca. "
            "With --dir, what is shown there is that run's.",
        ),
    ] = "",
    table: Annotated[
        str | None, typer.Option("--table", help="Which receives the episodes.", show_default="their own, or demos")
    ] = None,
    task: Annotated[
        str | None, typer.Option("--task", help="Name of their task.", show_default="their own, or the instruction")
    ] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="How all ended: success, failure, or as next.done says: done.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option("--max-steps", min=1, help="The task's limit.", show_default="the longest episode")
    ] = None,
    stride: Annotated[int, typer.Option("--stride", min=1, help="Keep a frame at every so many steps.")] = 1,
    cast: Cast = False,
) -> int:
    """Send a LeRobot folder's episodes to a replay server: a running run's, or the one at --replay.

    Episodes that the server has are left out: stopped, the same command goes on. What `ramp data export` wrote comes
    back as it was, ids included; any other folder's steps become demonstrations of the table demos. Pictures are stored
    as those of the table, or as the run's env.image_encoding says.

    \b
    Examples:
      ramp data import datasets/mine --replay 127.0.0.1:7001
      ramp data import datasets/mine --replay ~/factory.yaml
      ramp data import datasets/pusht --outcome success --stride 4
      ramp data import datasets/arm --task drawer-open-v3 --max-steps 300 --cast
    """
    from ramp.datasets.dataset import Reading
    from services.clients.importing import import_folder

    reading = Reading(table=table, task=task, outcome=_claim(outcome), max_steps=max_steps, stride=stride, cast=cast)
    new = present = 0
    with typer.progressbar(length=1, label="import", file=sys.stderr) as bar:
        for bar.length, fresh in import_folder(folder, reading, *_server(dir_, replay)):
            new, present = new + fresh, present + (not fresh)
            bar.update(1)
    print(f"{new} episodes imported, {present} were there")
    return 0


def _claim(outcome: str | None) -> Claim | None:
    from ramp.datasets.dataset import OUTCOMES
    from ramp.errors import Invalid

    if outcome not in (None, *OUTCOMES):
        raise Invalid("--outcome", outcome, f"choose {', '.join(OUTCOMES)}")
    return outcome


def _server(directory: Path | None, replay: str) -> tuple[str, Credentials, Encoding, int]:
    """Address of a replay server, `replay` or the one of a run, what to show it, and how that run stores its frames."""
    from ramp.data.images import QUALITY
    from ramp.errors import Unavailable
    from ramp.types import Encoding
    from services.clients.credentials import own_credentials
    from services.clients.reach import reached
    from services.common.settings import load_settings
    from services.common.tokens import Role
    from services.conductor import rundir

    if replay and directory is None:
        return *reached(replay), Encoding.RAW, QUALITY
    found = rundir.find(directory)
    settings = load_settings(found.settings)
    address = replay or settings.replay.address or found.replay_address()
    if not address:
        raise Unavailable(f"{found.path} has no replay server yet: start the run, or name a server by --replay")
    encoding, quality = Encoding(settings.env.image_encoding), settings.env.jpeg_quality
    return address, own_credentials(settings, Role.OPERATOR), encoding, quality
