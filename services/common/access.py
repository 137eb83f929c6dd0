"""Who may call what. Every door of a service asks here, once a call and again while a stream lives.

No gRPC in this file: the Arrow Flight door asks the same object.
"""

from __future__ import annotations

import hmac
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ramp.errors import Denied, Invalid, NotFound, Unauthenticated
from services.common.tokens import Role, Token, digest, read_tokens

logger = logging.getLogger(__name__)

LOOK_S = 1.0  # between looks whether the file of tokens has changed

REPLAY = "/ramp.v1.Replay/"
POLICY = "/ramp.v1.Policy/"
_OPERATOR = frozenset({Role.OPERATOR})
_LEARNER = frozenset({Role.LEARNER, Role.OPERATOR})
RIGHTS: Mapping[str, frozenset[Role]] = {
    REPLAY + "Append": frozenset({Role.ROBOT, Role.ACTOR, Role.OPERATOR}),
    REPLAY + "Sample": _LEARNER,
    REPLAY + "UpdatePriorities": _LEARNER,
    REPLAY + "Annotate": _LEARNER,
    REPLAY + "Query": _LEARNER,
    REPLAY + "Fetch": _LEARNER,
    REPLAY + "Delete": _OPERATOR,
    REPLAY + "Snapshot": _OPERATOR,
    REPLAY + "ListSnapshots": _OPERATOR,
    REPLAY + "DropSnapshot": _OPERATOR,
    REPLAY + "CreateView": _OPERATOR,
    REPLAY + "ListViews": _LEARNER,
    REPLAY + "DropView": _OPERATOR,
    REPLAY + "Info": frozenset(Role),
    POLICY + "Infer": frozenset({Role.ROBOT, Role.ACTOR, Role.OPERATOR}),
    POLICY + "Info": frozenset(Role),
}
"""By the method's name on the wire. What is not listed (reflection) is for operators."""


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who was let in."""

    name: str
    role: Role

    def check_author(self, robot: str) -> None:
        """Raises Denied where a robot is about to append what another one has done."""
        if self.role is Role.ROBOT and robot != self.name:
            raise Denied(
                f"the token of robot {self.name} may not append episodes of {robot!r}; set robot={self.name!r}"
            )


ANYONE = Client("anyone", Role.OPERATOR)
"""Whoever calls a server without tokens."""


class Access:
    """Maps a token and a method to a client. Thread-safe.

    Example: Access(Path("tokens.yaml")).admit("ramp_...", "/ramp.v1.Replay/Info")

    The file is read again when it has changed. A version that cannot be used (unreadable, no YAML, open to others)
    changes nothing and is logged: a slip of the hand must not stop a fleet.
    """

    def __init__(
        self, path: Path | None = None, look_every_s: float = LOOK_S, clock: Callable[[], float] = time.time
    ) -> None:
        """Without a `path` everybody is let in, as ANYONE. Raises NotFound, Invalid."""
        self._path, self._look_every_s, self._clock = path, look_every_s, clock
        self._lock = threading.Lock()
        self._seen = _stamp(path)
        self._looked = time.monotonic()
        self._tokens: Sequence[Token] = read_tokens(path) if path else ()

    @property
    def asks(self) -> bool:
        """Whether a token is needed."""
        return self._path is not None

    def admit(self, secret: str, method: str) -> Client:
        """Raises Unauthenticated, Denied. To be asked again, at least every half minute, while a stream lives."""
        client = self._client(secret)
        allowed = RIGHTS.get(method, _OPERATOR)
        if client.role not in allowed:
            name = method.rsplit("/", 1)[-1]
            raise Denied(
                f"{client.role} {client.name} may not call {name}; that is for {', '.join(sorted(allowed))}: "
                "`ramp token new` makes a token of another role"
            )
        return client

    def _client(self, secret: str) -> Client:
        if self._path is None:
            return ANYONE
        if not secret:
            raise Unauthenticated("no token; send the metadata `authorization: Bearer <token>`")
        token = self._find(digest(secret))
        if token is None:
            raise Unauthenticated("a token that is wrong or was revoked; `ramp token new` makes another")
        if token.expires and token.expires <= datetime.fromtimestamp(self._clock(), UTC):
            when = token.expires.isoformat(timespec="minutes")
            raise Unauthenticated(f"the token of {token.name} expired at {when}; `ramp token new` makes another")
        return Client(token.name, token.role)

    def _find(self, sha256: str) -> Token | None:
        """All are compared, each in constant time: how long it takes tells nothing."""
        found = None
        for token in self._current():
            if hmac.compare_digest(token.sha256, sha256):
                found = token
        return found

    def _current(self) -> Sequence[Token]:
        assert self._path is not None
        with self._lock:
            if time.monotonic() - self._looked >= self._look_every_s:
                self._looked, stamp = time.monotonic(), _stamp(self._path)
                if stamp != self._seen:
                    self._seen = stamp
                    self._read_again(self._path)
            return self._tokens

    def _read_again(self, path: Path) -> None:
        try:
            self._tokens = read_tokens(path)
            logger.info("%d tokens from %s", len(self._tokens), path)
        except (NotFound, Invalid) as error:
            logger.error("the tokens stay as they were: %s", error)


def _stamp(path: Path | None) -> tuple[int, ...]:
    """What changes when the file does."""
    try:
        found = os.stat(path) if path else None
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode) if found else ()
