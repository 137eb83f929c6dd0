"""`ramp token new, list, rotate, revoke`: who may come in to a replay server."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from services.cli.options import Dir, Json

File = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="The server's file of tokens.", show_default="that of the run"),
]


def new(
    role: Annotated[str, typer.Option("--role", "-r", help="robot, actor, learner or operator.")],
    name: Annotated[str, typer.Option("--name", "-n", help="Of the client; a robot's is the `robot` of its episodes.")],
    file: File = None,
    dir_: Dir = None,
    days: Annotated[
        float | None, typer.Option("--days", min=0, help="Until it expires.", show_default="it does not expire")
    ] = None,
) -> int:
    """Make a token and print it, this once: only its digest is kept.

    A running server knows it within a second. A robot may append its own episodes, an actor any, a learner may sample,
    label and read, an operator everything.

    \b
    Examples:
      ramp token new --role robot --name arm-7 --days 90 > arm-7.token
      ramp token new --role operator --name ada --file /etc/ramp/tokens.yaml
    """
    from ramp.errors import Invalid
    from services.common.audit import Audit, audit_log, person
    from services.common.tokens import Role, add_token, new_token

    if role not in tuple(Role):
        raise Invalid("--role", role, f"choose {', '.join(Role)}")
    path = _file(file, dir_)
    token, secret = new_token(name, Role(role), days)
    with Audit(audit_log(path)).act(
        person(), "operator", "TokenNew", name=name, given=role, expires=_day(token.expires)
    ):
        add_token(path, token)
    print(f"{role} {name}, expires: {_day(token.expires)}, in {path}; it is shown this once:", file=sys.stderr)
    print(secret)
    return 0


def list_(file: File = None, dir_: Dir = None, as_json: Json = False) -> int:
    """List who has a token: name, role, when it was made, when it expires. Tokens themselves are kept nowhere.

    \b
    Example:
      ramp token list --file /etc/ramp/tokens.yaml
    """
    import json

    from services.common.tokens import read_tokens

    tokens = read_tokens(_file(file, dir_))
    rows = [
        {"name": each.name, "role": str(each.role), "made": _day(each.made), "expires": _day(each.expires)}
        for each in sorted(tokens, key=lambda token: (token.role, token.name, token.made))
    ]
    if as_json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(f"{row['role']:9} {row['name']:24} made {row['made']}  expires {row['expires']}")
    if not rows:
        print("none")
    return 0


def rotate(
    name: Annotated[str, typer.Argument(help="Whose token.", show_default=False)] = "",
    file: File = None,
    dir_: Dir = None,
    own: Annotated[bool, typer.Option("--own", help="The run's own: actors, learners, operator.")] = False,
    grace_h: Annotated[float, typer.Option("--grace-h", min=0, help="Hours for which the old ones still hold.")] = 24.0,
    days: Annotated[
        float | None, typer.Option("--days", min=0, help="Until the new one expires.", show_default="it does not")
    ] = None,
) -> int:
    """Make a client's next token and print it, this once; the one before expires by itself after a grace period.

    Servers go on without a restart. A run's own processes (--own) take theirs when they start: start it again within
    the grace period (`ramp run --resume`, or helm upgrade), or they are locked out.

    \b
    Examples:
      ramp token rotate arm-7 --grace-h 48 > arm-7.token
      ramp token rotate --own --grace-h 2
    """
    from ramp.errors import Invalid
    from services.common.audit import Audit, audit_log, person
    from services.common.tokens import rotate_token

    if bool(name) == own:
        raise Invalid("name", name or "''", "name a client, or give --own")
    path, grace = _file(file, dir_), timedelta(hours=grace_h)
    with Audit(audit_log(path)).act(person(), "operator", "TokenRotate", name=name or "own", grace_h=grace_h):
        if own:
            return _rotate_own(dir_, grace)
        token, secret = rotate_token(path, name, grace, days)
    ends = _day(token.made + grace)
    print(f"{token.role} {name}, expires: {_day(token.expires)}; the old ones hold until {ends}:", file=sys.stderr)
    print(secret)
    return 0


def _rotate_own(directory: Path | None, grace: timedelta) -> int:
    from services.common.keyring import rotate_own
    from services.common.settings import load_settings
    from services.conductor import rundir

    for token in rotate_own(load_settings(rundir.find(directory).settings), grace):
        print(f"{token.role} {token.name}: made anew; the old one holds until {_day(token.made + grace)}")
    return 0


def revoke(
    name: Annotated[str, typer.Argument(help="Whose tokens.")],
    file: File = None,
    dir_: Dir = None,
    keep_newest: Annotated[
        bool, typer.Option("--keep-newest", help="All but the one made last, once the client has that.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why, for the audit log.", show_default=False)] = "",
) -> int:
    """Take a client's tokens away. Its calls are refused within a second or so, its streams are cut within a minute.

    \b
    Examples:
      ramp token revoke arm-7 --reason "stolen"
      ramp token revoke arm-7 --keep-newest
    """
    from services.common.audit import Audit, audit_log, person
    from services.common.tokens import revoke_tokens

    path = _file(file, dir_)
    with Audit(audit_log(path)).act(person(), "operator", "TokenRevoke", name=name, reason=reason):
        gone = revoke_tokens(path, name, keep_newest=keep_newest)
    print(f"{gone} revoked")
    return 0


def _file(file: Path | None, directory: Path | None) -> Path:
    """The named one, or the run's. Raises NotFound."""
    if file is not None:
        return file.absolute()
    from services.common.keyring import tokens_file
    from services.common.settings import load_settings
    from services.conductor import rundir

    return tokens_file(load_settings(rundir.find(directory).settings))


def _day(when: datetime | None) -> str:
    return when.isoformat(timespec="minutes") if when else "never"
