"""`ramp backup` and `ramp restore`: a run's data in another place, and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import Dir, Json

if TYPE_CHECKING:
    from services.backup.bucket import Bucket
    from services.backup.copying import Told
    from services.backup.manifest import Manifest
    from services.backup.part import Part
    from services.backup.shard import Shot
    from services.conductor.rundir import RunDir

Say = Callable[[str], None]
Url = Annotated[
    str,
    typer.Argument(
        help="Folder or bucket: file:///backups/arms, s3://bucket/arms.", show_default="the setting replay.backup.url"
    ),
]


def backup(
    url: Url = "",
    dir_: Dir = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Backups that stay.", show_default="replay.backup.keep")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read the newest backups and compare; copy nothing.")
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="Say which backups there are.")] = False,
    as_json: Json = False,
) -> int:
    """Copy a run to another place: episodes, labels, priorities, views, deletions, versions, checkpoints, journal.

    Works beside a running run, which waits for nothing. Only what is not there yet is copied, then read back and
    compared; a backup that was broken off goes on with the next one. Shards whose disks are elsewhere back themselves
    up (replay.backup.url). Secrets are not copied.

    \b
    Exit code 0: done. 1: a backup could not be made, or --verify found damage.

    \b
    Examples:
      ramp backup file:///mnt/backups/arms --keep 7
      ramp backup s3://robots/arms --dir runs/fleet
      ramp backup s3://robots/arms --verify
      ramp backup s3://robots/arms --list
    """
    from services.backup.bucket import Bucket

    if list_ or verify:
        bucket = Bucket(url or _settings_url(dir_))
        return _verify(bucket) if verify else _list(bucket, as_json)
    made = _make(Bucket(url or _settings_url(dir_)), dir_, keep, say=print if not as_json else _hush)
    if as_json:
        _print_json(made)
    return 0


def restore(
    url: Annotated[str, typer.Argument(help="Folder or bucket with the backups.")],
    dir_: Annotated[
        Path | None, typer.Option("--dir", "-d", help="The run's new directory.", show_default=False)
    ] = None,
    shard: Annotated[str, typer.Option("--shard", help="Bring back one shard alone.", show_default=False)] = "",
    to: Annotated[Path | None, typer.Option("--to", help="Where to, with --shard.", show_default=False)] = None,
    before: Annotated[
        datetime | None, typer.Option("--before", help="Take the newest not after this (local time).")
    ] = None,
) -> int:
    """Bring a run back from its backups, into a directory that is empty or not there.

    Everything is compared with its checksum; the directory appears when all of it is right. Broken off, the same
    command goes on. Then `ramp run --resume --dir` that directory.

    \b
    Examples:
      ramp restore file:///mnt/backups/arms --dir runs/arms
      ramp restore s3://robots/arms --dir runs/arms --before 2026-05-01T08:00:00
      ramp restore s3://robots/arms --shard shard-2 --to /data/replay
    """
    from ramp.errors import Invalid
    from services.backup import restoring
    from services.backup.bucket import Bucket
    from services.backup.part import Part

    if bool(shard) != bool(to) or bool(shard) == bool(dir_):
        raise Invalid("restore", "the place is not clear", "give --dir, or --shard and --to")
    bucket, moment = Bucket(url), before.timestamp() if before else float("inf")
    if shard:
        part = Part(bucket, shard)
        wanted = {"": (part, part.newest(moment))}
    else:
        wanted = _whole(bucket, moment)
    target = (to or dir_ or Path()).absolute()
    with _bar(f"restore to {target}") as told:
        restoring.restore(wanted, target, told)
    for part, manifest in wanted.values():
        print(_line(part.name, manifest))
    print(f"in {target}" + ("" if shard else f"; go on with: ramp run --resume --dir {target}"))
    return 0


def _settings_url(directory: Path | None) -> str:
    """Raises Invalid where a run has none."""
    from ramp.errors import Invalid
    from services.common.settings import load_settings
    from services.conductor import rundir

    url = load_settings(rundir.find(directory).settings).replay.backup.url
    if not url:
        raise Invalid("url", "''", "name a folder or a bucket, or set replay.backup.url for the run")
    return url


def _hush(words: str) -> None:
    """For --json, which prints one value."""


def _make(bucket: Bucket, directory: Path | None, keep: int | None, say: Say) -> list[Manifest]:
    from services.backup.part import RUN, Part
    from services.backup.run import back_up_run
    from services.common.settings import load_settings
    from services.conductor import rundir

    found = rundir.find(directory)
    settings = load_settings(found.settings)
    kept, made = keep or settings.replay.backup.keep, []
    with _bar(f"{RUN} to {bucket.url}") as told:
        made.append(back_up_run(Part(bucket, RUN), found.path, kept, told))
    say(_line(RUN, made[-1]))
    if settings.replay.address:
        say("shards: their disks are elsewhere; they back themselves up where replay.backup.url is set")
        return made
    return made + _make_shards(bucket, found, kept, say)


def _make_shards(bucket: Bucket, found: RunDir, keep: int, say: Say) -> list[Manifest]:
    """Of a running run through its servers, of a stopped one from the disk."""
    from ramp.replay.places import shard_name, shard_places
    from ramp.replay.together import Together
    from services.backup.part import Part
    from services.backup.shard import back_up_shard
    from services.cli.keep import opened

    made: list[Manifest] = []
    if not any((place / "segments").is_dir() for place in shard_places(found.replay).values()):
        say("shards: nothing was stored yet")
        return made
    with opened(found.path) as replay:
        shots: Mapping[str, Shot] = replay.parts() if isinstance(replay, Together) else {shard_name(0): replay}
        for name, place in shard_places(found.replay).items():
            with _bar(f"{name} to {bucket.url}") as told:
                made.append(back_up_shard(Part(bucket, name), place, shots[name], keep, told))
            say(_line(name, made[-1]))
    return made


def _whole(bucket: Bucket, moment: float) -> dict[str, tuple[Part, Manifest]]:
    """Every part's backup by its folder in a run's directory. Raises NotFound."""
    from ramp.errors import NotFound
    from services.backup.part import RUN, parts

    found = {part.name: (part, part.newest(moment)) for part in parts(bucket)}
    if RUN not in found:
        raise NotFound(f"{bucket.url} holds no backup of a run; there are: {', '.join(found) or 'none'}")
    shards = [name for name in found if name != RUN]
    folders = {RUN: ""} | {name: f"replay/{name}" if len(shards) > 1 else "replay" for name in shards}
    return {folders[name]: each for name, each in found.items()}


def _verify(bucket: Bucket) -> int:
    from services.backup.copying import missing
    from services.backup.part import parts

    damaged, known = 0, parts(bucket)
    for part in known:
        manifest = part.newest()
        with _bar(f"{part.name} in {bucket.url}") as told:
            wrong = missing(part, manifest, told)
        print(_line(part.name, manifest) + (f"  {len(wrong)} DAMAGED" if wrong else "  whole"))
        for file in wrong:
            print(f"  {file.path}: what lies in the backup is not what was copied, or nothing does")
        damaged += len(wrong)
    if not known:
        print(f"no backups in {bucket.url}")
    return int(damaged > 0 or not known)


def _list(bucket: Bucket, as_json: bool) -> int:
    from services.backup.part import parts

    found = [manifest for part in parts(bucket) for manifest in part.manifests()]
    if as_json:
        _print_json(found)
        return 0
    for each in found:
        print(_line(each.part, each))
    if not found:
        print("none")
    return 0


def _line(part: str, manifest: Manifest) -> str:
    taken = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(manifest.taken_at))
    size = f"{len(manifest.files)} files  {manifest.size / 2**20:.1f} MiB"
    return f"{part:9} {manifest.number:4}  {taken}  {manifest.episodes} episodes  {size}"


def _print_json(manifests: list[Manifest]) -> None:
    import json

    rows = [
        {
            "part": each.part,
            "number": each.number,
            "taken_at": each.taken_at,
            "episodes": each.episodes,
            "files": len(each.files),
            "bytes": each.size,
        }
        for each in manifests
    ]
    print(json.dumps(rows))


@contextmanager
def _bar(what: str) -> Iterator[Told]:
    """A bar on a terminal, nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
