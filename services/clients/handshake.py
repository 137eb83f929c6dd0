"""Which certificate a door shows, as its clients see it."""

from __future__ import annotations

import socket
import ssl

from ramp.errors import Unauthenticated, Unavailable
from services.clients.credentials import Credentials

WAIT_S = 5.0


def shown_until(address: str, credentials: Credentials) -> float | None:
    """Seconds since 1970 at which the certificate of the server at `host:port` expires; None without TLS, where it only
    has to listen.

    Raises Unauthenticated for a certificate that is not trusted, Unavailable, Invalid, NotFound.
    """
    host, _, port = address.rpartition(":")
    context = _context(credentials)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=WAIT_S) as plain:
            if context is None:
                return None
            with context.wrap_socket(plain, server_hostname=host.strip("[]")) as crypted:
                found = crypted.getpeercert() or {}
                return float(ssl.cert_time_to_seconds(str(found["notAfter"])))
    except ssl.SSLCertVerificationError as error:
        raise Unauthenticated(f"{address}: {error.verify_message}") from error
    except (OSError, LookupError) as error:
        raise Unavailable(f"{address}: {error}") from error


def _context(credentials: Credentials) -> ssl.SSLContext | None:
    if credentials.ca is None:
        return None
    credentials.files()  # says what is wrong with them
    context = ssl.create_default_context(cafile=str(credentials.ca))
    context.set_alpn_protocols(["h2"])
    if credentials.certificate and credentials.key:
        context.load_cert_chain(credentials.certificate, credentials.key)
    return context
