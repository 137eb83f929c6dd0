"""What stands before every door of a service: who may come in, how much they may use, and what is written down.

No gRPC in this file: all doors of a server share one gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

from services.common.access import Access, Client
from services.common.audit import Audit
from services.common.quotas import Quotas


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
