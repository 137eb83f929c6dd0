"""What a client shows a server, and by what it knows the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ramp.errors import Invalid, NotFound
from services.common.keyring import own_secret
from services.common.private import read_private
from services.common.settings import Settings
from services.common.tokens import Role

Metadata = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """The same for every client of every service.

    Example: Credentials(token="ramp_...", ca=Path("/etc/ramp/ca.pem"))
    """

    token: str = field(default="", repr=False)  # empty: the server asks for none
    ca: Path | None = None  # PEM; None: no TLS
    certificate: Path | None = None  # PEM, its chain behind it; where the server asks for one (mTLS)
    key: Path | None = None  # its private key

    def metadata(self) -> Metadata:
        """Of every call. A token is refused here that could not stand in a header. Raises Invalid."""
        if not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise Invalid("token", "not one", "give what `ramp token new` printed, nothing before or behind it")
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def files(self) -> tuple[bytes, bytes | None, bytes | None] | None:
        """CA, key and certificate chain as gRPC and Arrow Flight want them; None without TLS. Raises Invalid,
        NotFound."""
        if bool(self.certificate) != bool(self.key) or (self.certificate and not self.ca):
            raise Invalid("certificate", self.certificate, "give certificate, key and ca together")
        if self.ca is None:
            return None
        key = read_private(self.key) if self.key else None
        return _read(self.ca), key, _read(self.certificate) if self.certificate else None


def own_credentials(settings: Settings, role: Role) -> Credentials:
    """Those of a run's own processes. Raises Invalid, NotFound."""
    tls = settings.replay.tls
    ca, certificate, key = (Path(name) if name else None for name in (tls.ca, tls.client_certificate, tls.client_key))
    return Credentials(token=own_secret(settings, role), ca=ca, certificate=certificate, key=key)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise NotFound(f"{path} does not exist") from error
    except OSError as error:
        raise Invalid(str(path), error.strerror, "name a PEM file that this process may read") from error
