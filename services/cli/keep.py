"""`ramp data delete, snapshot, snapshots, views`: what a run's replay is to forget, and what to keep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import Dir, Json

if TYPE_CHECKING:
    from ramp.replay.shards import Shards
    from services.clients.connect import AnyClient

    AnyReplay = AnyClient | Shards

READY_S = 5.0  # for a server to answer whose address is known


def delete(
    episodes: Annotated[list[str], typer.Argument(help="Their episode_id, as `ramp data query` prints it.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever asks later.")],
    dir_: Dir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Forget ended episodes for good, of a running run or of one that was stopped.

    No learner is given anything of them from now on. Their ids stay taken, so that no robot's spool brings them back.
    The disk gets its room back when a segment is mostly dead; snapshots that were taken before still hold them.
    All or none: where one id is unknown or still open, nothing is deleted.

    \b
    Examples:
      ramp data delete demo-reach-v3-7 --reason "a person was in the picture"
      ramp data delete $(ramp data query "select episode_id from episodes where steps<10" --csv | tail +2) -r "cut off"
    """
    if not yes:
        typer.confirm(f"Delete {len(episodes)} episodes for good?", abort=True)
    with opened(dir_) as replay, audited(replay, dir_, "Delete", episodes=episodes, reason=reason):
        gone = replay.delete(episodes, reason)
    print(f"{gone} deleted" + (f", {len(episodes) - gone} had been deleted before" if gone < len(episodes) else ""))
    return 0


def snapshot(
    name: Annotated[str, typer.Argument(help="Letters, digits, . _ - and not in use yet.")],
    dir_: Dir = None,
) -> int:
    """Keep this moment of the replay data under a name, while everything goes on.

    Segments are linked, not copied: it takes no room until they are deleted or written again. The directory that is
    printed (one for each shard) can be copied away, or take the place of the one whose `snapshots/` holds it.

    \b
    Examples:
      ramp data snapshot before-upgrade
      ramp data snapshot friday --dir runs/fleet
    """
    with opened(dir_) as replay, audited(replay, dir_, "Snapshot", name=name):
        taken = replay.snapshot(name)
    print(f"{taken.episodes} episodes, {taken.bytes / 2**20:.1f} MiB: {taken.path}")
    return 0


def snapshots(
    dir_: Dir = None,
    as_json: Json = False,
    drop: Annotated[str, typer.Option("--drop", help="Forget this one.", show_default=False)] = "",
) -> int:
    """List the snapshots of a run's replay data, or drop one.

    \b
    Examples:
      ramp data snapshots
      ramp data snapshots --drop friday
    """
    import json
    from dataclasses import asdict

    with opened(dir_) as replay:
        if drop:
            with audited(replay, dir_, "DropSnapshot", name=drop):
                replay.drop_snapshot(drop)
        found = replay.snapshots()
    if as_json:
        print(json.dumps([asdict(each) for each in found]))
        return 0
    for each in found:
        taken = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.taken_at))
        print(f"{taken}  {each.name}  {each.episodes} episodes  {each.bytes / 2**20:.1f} MiB  {each.path}")
    if not found:
        print("none")
    return 0


def views(
    dir_: Dir = None,
    as_json: Json = False,
    drop: Annotated[str, typer.Option("--drop", help="Forget this one; its episodes stay.", show_default=False)] = "",
) -> int:
    """List the views of a run's replay data, or drop one. `ramp data query ... --as-view NAME` makes one.

    \b
    Examples:
      ramp data views
      ramp data views --drop hard-drawers
    """
    import json
    from dataclasses import asdict

    with opened(dir_) as replay:
        if drop:
            replay.drop_view(drop)
        found = replay.views()
    if as_json:
        print(json.dumps([asdict(each) for each in found]))
        return 0
    for each in found:
        made = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.created_at))
        print(f"{made}  {each.name}  {each.episodes} episodes  {each.query}")
    if not found:
        print("none")
    return 0


@contextmanager
def opened(directory: Path | None) -> Iterator[AnyReplay]:
    """The server of a run where it has one, else the data themselves. Raises NotFound, Unavailable."""
    from services.clients.connect import connect
    from services.clients.credentials import own_credentials
    from services.common.settings import load_settings
    from services.common.tokens import Role
    from services.conductor import rundir

    found = rundir.find(directory)
    settings = load_settings(found.settings)
    shards = None if settings.replay.address else _own(found.replay)
    if shards is not None:
        with closing(shards):
            yield shards
        return
    address = settings.replay.address or found.replay_address()
    with connect(address, name="ramp-data", credentials=own_credentials(settings, Role.OPERATOR)) as client:
        client.wait_ready(READY_S)
        yield client


def audited(replay: AnyReplay, directory: Path | None, what: str, **details: object) -> AbstractContextManager[None]:
    """Where no server does it, and so none writes it down."""
    from ramp.replay.shards import Shards
    from services.common.audit import Audit, person
    from services.conductor import rundir

    served = not isinstance(replay, Shards)
    return Audit(None if served else rundir.find(directory).audit).act(person(), "operator", what, **details)


def _own(directory: Path) -> Shards | None:
    """The shards of a stopped run; None where a server has one. Raises NotFound."""
    from ramp.errors import NotFound, Unavailable
    from ramp.replay.places import shard_places
    from ramp.replay.shard import ShardConfig
    from ramp.replay.shards import Shards

    if not any((place / "segments").is_dir() for place in shard_places(directory).values()):
        raise NotFound(f"no episodes in {directory}: nothing was stored there yet")
    try:
        return Shards(directory, ShardConfig())
    except Unavailable:
        return None
