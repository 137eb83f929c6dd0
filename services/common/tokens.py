"""The file that says who may come in: names, roles and digests of tokens, never a token itself.

    - name: arm-7
      role: robot
      sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
      made: 2026-05-01T08:00:00+00:00
      expires: 2026-08-01T08:00:00+00:00     # absent: never

A name may have several tokens of one role: the new one is brought to the robot before the old one is revoked.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from ramp.errors import Invalid, NotFound
from services.common.private import read_private, write_private

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
DIGEST = re.compile(r"[0-9a-f]{64}")
PREFIX = "ramp_"  # so that a token is known for what it is where it should not be
KEYS = {"name", "role", "sha256", "made", "expires"}


class Role(StrEnum):
    """What a client is; services/common/access.py says what each may do."""

    ROBOT = "robot"
    ACTOR = "actor"
    LEARNER = "learner"
    OPERATOR = "operator"


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One token, without its secret."""

    name: str
    role: Role
    sha256: str  # of the token, hexadecimal
    made: datetime
    expires: datetime | None = None  # None: never


def digest(secret: str) -> str:
    """What of a token is kept. It needs no salt: a token is 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token(name: str, role: Role, days: float | None, now: datetime | None = None) -> tuple[Token, str]:
    """A token and its secret, which is nowhere else; it expires after `days`. Raises Invalid."""
    secret, made = PREFIX + secrets.token_urlsafe(32), (now or datetime.now(UTC)).replace(microsecond=0)
    expires = made + timedelta(days=days) if days is not None else None
    return Token(name=_name(name), role=role, sha256=digest(secret), made=made, expires=expires), secret


def read_tokens(path: Path) -> list[Token]:
    """Raises NotFound, and Invalid for a file that others may read or that says something else."""
    return parse_tokens(read_private(path), path)


def parse_tokens(content: bytes, path: Path) -> list[Token]:
    """What a file says. Raises Invalid."""
    try:
        rows = yaml.safe_load(content) or []
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise Invalid(str(path), "no YAML", "write it by `ramp token new`") from error
    if not isinstance(rows, list):
        raise Invalid(str(path), type(rows).__name__, "write a list of tokens, by `ramp token new`")
    found = [_parsed(row, f"{path}, token {number}") for number, row in enumerate(rows, start=1)]
    _check_roles(found, path)
    return found


def add_token(path: Path, token: Token) -> None:
    """Raises Invalid where its name has another role already."""
    with _changing(path) as tokens:
        _check_roles([*tokens, token], path)
        tokens.append(token)


def revoke_tokens(path: Path, name: str, *, keep_newest: bool = False) -> int:
    """How many tokens of that name there are no more. Raises NotFound for a name that has none."""
    with _changing(path) as tokens:
        mine = sorted((token for token in tokens if token.name == name), key=lambda token: token.made)
        if not mine:
            known = ", ".join(sorted({token.name for token in tokens})) or "nobody"
            raise NotFound(f"{name} has no token in {path}; it has those of: {known}")
        gone = mine[:-1] if keep_newest else mine
        tokens[:] = [token for token in tokens if token not in gone]
    return len(gone)


def rotate_token(path: Path, name: str, grace: timedelta, days: float | None) -> tuple[Token, str]:
    """Another token for a name that has some, and its secret; the ones before expire after `grace`.

    Raises NotFound for a name that has none.
    """
    with _changing(path) as tokens:
        mine = [token for token in tokens if token.name == name]
        if not mine:
            known = ", ".join(sorted({token.name for token in tokens})) or "nobody"
            raise NotFound(f"{name} has no token in {path}; it has those of: {known}")
        made, secret = new_token(name, mine[0].role, days)
        last = made.made + grace
        for token in mine:
            ends = min(token.expires or last, last)
            tokens[tokens.index(token)] = replace(token, expires=ends)
        tokens.append(made)
    return made, secret


@contextmanager
def _changing(path: Path) -> Iterator[list[Token]]:
    """The tokens, to be changed in place; written if the body succeeds, one writer at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        tokens = read_tokens(path) if path.exists() else []
        yield tokens
        rows = [_row(token) for token in tokens]
        write_private(path, yaml.safe_dump(rows, sort_keys=False).encode() if rows else b"[]\n")
    finally:
        os.close(lock)


def _row(token: Token) -> dict[str, str]:
    row = {"name": token.name, "role": str(token.role), "sha256": token.sha256, "made": token.made.isoformat()}
    return row | ({"expires": token.expires.isoformat()} if token.expires else {})


def _parsed(row: Any, where: str) -> Token:
    if not isinstance(row, dict) or not {"name", "role", "sha256"} <= set(row) <= KEYS:
        raise Invalid(where, "not a token", f"give it {', '.join(sorted(KEYS))}; made and expires may be left out")
    if row["role"] not in tuple(Role):
        raise Invalid(f"{where}: role", row["role"], f"choose {', '.join(Role)}")
    if not DIGEST.fullmatch(str(row["sha256"])):
        raise Invalid(f"{where}: sha256", "no digest", "64 hexadecimal digits; `ramp token new` makes a token")
    made = _time(row.get("made"), f"{where}: made") or datetime.fromtimestamp(0, UTC)
    expires = _time(row.get("expires"), f"{where}: expires")
    return Token(name=_name(str(row["name"])), role=Role(row["role"]), sha256=row["sha256"], made=made, expires=expires)


def _time(value: Any, where: str) -> datetime | None:
    """YAML reads unquoted dates itself. What names no zone is UTC."""
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise Invalid(where, value, "write it like 2026-08-01T08:00:00+00:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Invalid("name", name[:160], "1 to 128 characters of letters, digits, . _ -")
    return name


def _check_roles(tokens: Sequence[Token], path: Path) -> None:
    """One name, one role: whoever reads a log must know what it was."""
    roles: dict[str, Role] = {}
    for token in tokens:
        if roles.setdefault(token.name, token.role) is not token.role:
            raise Invalid("role", f"{token.name} is {roles[token.name]} in {path}", "choose another name")
