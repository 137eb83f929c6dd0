"""Files of tokens, and gates that know some, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from services.clients.credentials import Credentials
from services.common.access import Access
from services.common.audit import Audit, audit_log
from services.common.gate import Gate
from services.common.quotas import Quota, Quotas
from services.common.tokens import Role, Token, add_token, digest

TOKEN = "a-token-of-the-test"
SHOWN = Credentials(token=TOKEN)


def know(path: Path, secret: str, role: Role = Role.OPERATOR, name: str = "", expires: datetime | None = None) -> None:
    """Let `secret` stand for a client from now on; its name is the role's unless given."""
    token = Token(name=name or str(role), role=role, sha256=digest(secret), made=datetime.now(UTC), expires=expires)
    add_token(path, token)


def gate_knowing(folder: Path, *secrets: str, **quotas: Quota) -> Gate:
    """A gate before a server. Every secret is an operator's; tokens.yaml in `folder` is looked at in every call."""
    path = folder / "tokens.yaml"
    for secret in secrets or (TOKEN,):
        know(path, secret)
    by_role = {Role(name): quota for name, quota in quotas.items()}
    return Gate(access=Access(path, look_every_s=0.0), quotas=Quotas(by_role), audit=Audit(audit_log(path)))
