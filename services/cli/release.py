"""`ramp release list, promote, rollback, history`: which version robots act by."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from services.cli.options import Dir, Json

To = Annotated[str, typer.Option("--to", help="candidate or stable.")]
Alias = Annotated[str, typer.Option("--alias", help="candidate or stable.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the history and the audit log.", show_default=False)]


def list_(dir_: Dir = None, as_json: Json = False) -> int:
    """List where each alias of the run's policies points, and since when.

    \b
    Example:
      ramp release list
    """
    from ramp.types import Kind
    from services.clients.registry import DirectoryRegistry
    from services.clients.releases import Releases
    from services.conductor import release, rundir

    registry = DirectoryRegistry(rundir.find(dir_).registry)
    rows = release.aliases(Releases(registry), registry.aliases(Kind.POLICY))
    if as_json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        since = f"since {row['since']} by {row['who']}: {row['why']}" if row["since"] else ""
        print(f"{row['alias']!s:12} policy {row['version']!s:6} {since}".rstrip())
    if not rows:
        print("none")
    return 0


def promote(
    version: Annotated[str, typer.Argument(help="A number or an alias, e.g. latest or candidate.")],
    to: To = "stable",
    dir_: Dir = None,
    episodes: Annotated[
        int | None, typer.Option("--episodes", "-n", min=1, help="Per task.", show_default="the run's own number")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Without a comparison; needs --reason.")] = False,
    reason: Reason = "",
) -> int:
    """Let an alias point to a version. Policy servers follow within a second or so; episodes that have begun end with
    the version that they began with.

    A version becomes stable only if it is not worse than the present stable one on the held-out starts: the lower
    bound of the difference must be release.min_gain or more. Episodes that the run has evaluated count; the rest is
    rolled out now, which needs the run to be stopped.

    \b
    Examples:
      ramp release promote latest --to candidate
      ramp release promote candidate
      ramp release promote 12 --force --reason "the camera was moved, 11 cannot see"
    """
    from services.cli.releasing import promoted

    change = promoted(dir_, version, to, episodes=episodes, force=force, reason=reason, tell=_tell)
    print(_line(change))
    return 0


def rollback(dir_: Dir = None, alias: Alias = "stable", reason: Reason = "") -> int:
    """Let an alias point to what it pointed to before, at once.

    \b
    Example:
      ramp release rollback --reason "arm 7 drops what it holds"
    """
    from services.cli.releasing import rolled_back

    print(_line(rolled_back(dir_, alias, reason)))
    return 0


def history(dir_: Dir = None, as_json: Json = False) -> int:
    """Every promotion and rollback, oldest first: who, when, from, to, why.

    \b
    Example:
      ramp release history --json
    """
    from dataclasses import asdict

    from services.clients.registry import DirectoryRegistry
    from services.clients.releases import Releases
    from services.conductor import rundir

    changes = Releases(DirectoryRegistry(rundir.find(dir_).registry)).history()
    if as_json:
        print(json.dumps([asdict(change) for change in changes]))
        return 0
    for change in changes:
        print(f"{change.time} {change.who:12} {_line(change)}")
    if not changes:
        print("none")
    return 0


def _line(change: Any) -> str:
    return f"{change.what} {change.alias}: {change.before or 'none'} -> {change.version}, {change.why}"


def _tell(message: str) -> None:
    print(message, file=sys.stderr)
