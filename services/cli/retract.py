"""`ramp data retract`: take episodes back, and say which versions may have learnt from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import Dir, Json

if TYPE_CHECKING:
    from services.cli.keep import AnyReplay
    from services.clients.lineage import Retracted, Touched


def retract(
    episodes: Annotated[list[str], typer.Argument(help="Their episode_id, as `ramp data query` prints it.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever asks later.")],
    dir_: Dir = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which versions it is about; delete nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Delete episodes as `ramp data delete` does, and list the versions that may have learnt from them.

    Of each version: why it is named, and the aliases that point to it. What came of a named version is named, too.
    Versions are not deleted: point `stable` at one that is not named, and train again from there. An episode that was
    deleted before counts as drawn by all.

    \b
    Examples:
      ramp data retract arm-3-17 --reason "consent withdrawn"
      ramp data retract arm-3-17 --reason "consent withdrawn" --dry-run --json
    """
    import json
    from dataclasses import asdict

    from services.cli.keep import audited, opened
    from services.clients.lineage import touched
    from services.clients.registry import DirectoryRegistry
    from services.conductor import rundir

    registry = DirectoryRegistry(rundir.find(dir_).registry)
    if not (yes or dry_run):
        typer.confirm(f"Delete {len(episodes)} episodes for good?", abort=True)
    with opened(dir_) as replay:
        known = _known(replay, episodes)
        gone = 0
        if not dry_run:
            with audited(replay, dir_, "Delete", episodes=episodes, reason=reason):
                gone = replay.delete(episodes, reason)
    found = touched(registry, known)  # those of before the deletion, and what was published meanwhile
    if as_json:
        print(json.dumps({"deleted": gone, "versions": [asdict(each) for each in found]}))
    else:
        _print(gone, dry_run, found)
    return 0


def _known(replay: AnyReplay, episodes: list[str]) -> list[Retracted]:
    """What is stored of them; of one that is not there, what leaves no version out."""
    from ramp.replay.run_tables import TABLES
    from services.clients.lineage import Retracted

    infos = {info.episode_id: info for info in replay.query()}
    there = [infos[each] for each in episodes if each in infos]
    known = [Retracted(tables=info.tables, ended_at=info.ended_at) for info in there]
    return known + [Retracted(tables=TABLES, ended_at=0.0)] * (len(episodes) - len(there))


def _print(gone: int, dry_run: bool, found: list[Touched]) -> None:
    print("nothing was deleted" if dry_run else f"{gone} deleted")
    for each in found:
        aliases = f"  <- {', '.join(each.aliases)}" if each.aliases else ""
        print(f"{each.kind:7} {each.version:4}  {each.why}{aliases}")
    if not found:
        print("no version may have learnt from them")
