"""Which certificate files a server has, whether they are fit, and who may be served without any. No gRPC here."""

from __future__ import annotations

import ipaddress
import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from ramp.errors import Invalid, NotFound
from services.common.private import read_private


@dataclass(frozen=True, kw_only=True, slots=True)
class CertificateFiles:
    """Where they lie; all PEM. With a `client_ca` only clients are served that show a certificate of that CA (mTLS)."""

    certificate: Path  # the server's, its chain behind it
    key: Path
    client_ca: Path | None = None

    def check(self) -> None:
        """Raises NotFound, and Invalid where certificate and key do not fit or the key is open to others."""
        read_private(self.key)
        for name, path in (("certificate", self.certificate), ("client_ca", self.client_ca)):
            if path is not None and not path.is_file():
                raise NotFound(f"replay.tls.{name}: {path} does not exist")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            raise Invalid(
                "replay.tls.certificate", self.certificate, f"a PEM chain that fits {self.key}: {error}"
            ) from error
        self._check_ca(context)

    def _check_ca(self, context: ssl.SSLContext) -> None:
        try:
            if self.client_ca:
                context.load_verify_locations(self.client_ca)
        except (ssl.SSLError, OSError) as error:
            raise Invalid("replay.tls.client_ca", self.client_ca, f"a PEM certificate: {error}") from error

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """What changes when one of them is renewed. Raises OSError."""
        found = [os.stat(path) for path in (self.certificate, self.key, self.client_ca) if path]
        return tuple((each.st_mtime_ns, each.st_ino) for each in found)


def check_exposure(host: str, *, tls: bool, tokens: bool, exposed: bool) -> None:
    """Raises Invalid for a server that other machines could reach and everybody could read, unless that is meant."""
    if exposed or _is_loopback(host) or (tls and tokens):
        return
    missing = " and ".join(name for name, there in (("TLS", tls), ("tokens", tokens)) if not there)
    remedy = (
        "set replay.tls.certificate and replay.tls.key, and make tokens by `ramp token new`; or keep 127.0.0.1; or set "
        "replay.exposed=true if everybody who reaches it may use it"
    )
    raise Invalid("replay.host", f"{host} is open to other machines without {missing}", remedy)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
