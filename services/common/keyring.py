"""A run's own tokens: one for each role that its processes have, made when it starts.

tokens.yaml      who may come in; more are added by `ramp token new`
secrets/actor    the token that its actors show; so for learner and operator (conductor, `ramp data`)
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from ramp.errors import NotFound
from services.common.private import read_private, write_private
from services.common.settings import Settings
from services.common.tokens import Role, Token, add_token, digest, new_token, read_tokens, rotate_token

OWN_ROLES = (Role.ACTOR, Role.LEARNER, Role.OPERATOR)


def tokens_file(settings: Settings) -> Path:
    """The server's file of tokens, whether there is one or not."""
    return Path(settings.replay.tokens or _home(settings) / "tokens.yaml")


def own_secret(settings: Settings, role: Role) -> str:
    """The token of the run's own processes of that role; "" for a run without tokens.

    Raises Invalid where others may read it, and NotFound where `replay.secrets` lacks it.
    """
    path = _secrets(settings) / role
    if not settings.replay.secrets and not path.exists():
        return ""
    return read_private(path).decode("utf-8", errors="replace").strip()


def provide(settings: Settings) -> list[Token]:
    """Make what is missing for the run's own server; the new tokens. Raises Invalid, OSError."""
    path, made = tokens_file(settings), []
    known = {(token.role, token.sha256) for token in (read_tokens(path) if path.exists() else [])}
    for role in OWN_ROLES:
        if (role, digest(_kept(settings, role))) not in known:
            made.append(_make(settings, path, role))
    return made


def rotate_own(settings: Settings, grace: timedelta) -> list[Token]:
    """Another token for each of the run's own roles, in `secrets/` for whoever starts now; the ones before expire
    after `grace`, by which the run's processes have to have been started again. Raises Invalid, NotFound, OSError."""
    return [_rotated(settings, role, grace) for role in OWN_ROLES if own_secret(settings, role)]


def _rotated(settings: Settings, role: Role, grace: timedelta) -> Token:
    """Known first, shown then, as at a start."""
    path, shown = tokens_file(settings), digest(own_secret(settings, role))
    names = [token.name for token in read_tokens(path) if token.sha256 == shown]
    if not names:
        raise NotFound(f"{path} does not know the token in {_secrets(settings) / role}; `ramp run` makes another")
    token, secret = rotate_token(path, names[0], grace, None)
    write_private(_secrets(settings) / role, secret.encode() + b"\n")
    return token


def _kept(settings: Settings, role: Role) -> str:
    try:
        return own_secret(settings, role)
    except NotFound:
        return ""


def _make(settings: Settings, path: Path, role: Role) -> Token:
    """Known first, shown then: whoever reads the secret is let in."""
    token, secret = new_token(_name(settings, role), role, None)
    _secrets(settings).mkdir(mode=0o700, parents=True, exist_ok=True)
    add_token(path, token)
    write_private(_secrets(settings) / role, secret.encode() + b"\n")
    return token


def _name(settings: Settings, role: Role) -> str:
    """Told apart from other runs' where they share a file of tokens."""
    run = "".join(
        each if (each.isalnum() and each.isascii()) or each in "._-" else "-" for each in _home(settings).name
    )
    return f"{run[:100]}-{role}" if run else str(role)


def _home(settings: Settings) -> Path:
    return Path(settings.dir).resolve()


def _secrets(settings: Settings) -> Path:
    return Path(settings.replay.secrets or _home(settings) / "secrets")
