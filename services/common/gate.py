"""What stands before every door of a service: who may come in, how much they may use, and what is written down.

No gRPC in this file: all doors of a server share one gate.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from services.common.access import Access, Client
from services.common.audit import Audit
from services.common.keyring import tokens_file
from services.common.quotas import Quotas, parse_quotas
from services.common.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Gate:
    """Open to everybody as it is made without arguments: for tests, and servers that only their own machine can reach.

    Example: with gate.enter(token, "/ramp.v1.Replay/Info") as client: ...
    """

    access: Access = field(default_factory=Access)
    quotas: Quotas = field(default_factory=Quotas)
    audit: Audit = field(default_factory=Audit)

    @contextmanager
    def enter(self, secret: str, method: str) -> Iterator[Client]:
        """One call, for as long as the body lasts. Raises Unauthenticated, Denied, OverQuota. Where it lasts, ask
        `access.admit` again at least every half minute."""
        client = self.access.admit(secret, method)
        with self.quotas.call(client):
            yield client

    def audited(self, client: Client, what: str, **details: object) -> AbstractContextManager[None]:
        """The body does something that cannot be taken back."""
        return self.audit.act(client.name, str(client.role), what, **details)


def gate_of(settings: Settings, home: Path | None = None) -> Gate:
    """Who is let in; what they do is written down in logs/ of `home`, or of the run's directory. A run that `ramp run`
    has started has tokens; a server that is started without any is open, which `check_exposure` grants to its own
    machine only. Raises NotFound, Invalid."""
    path, quotas = tokens_file(settings), settings.replay.quotas
    if not settings.replay.tokens and not path.exists():
        logger.warning("no tokens in %s: whoever reaches this server is served", path)
        return Gate()
    return Gate(
        access=Access(path),
        quotas=Quotas(quotas.by_role(), parse_quotas(quotas.clients)),
        audit=Audit((home or Path(settings.dir)) / "logs" / "audit.jsonl"),
    )
