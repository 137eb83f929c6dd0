"""When certificates end."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509

from ramp.errors import Invalid


def expires_at(path: Path) -> float:
    """Seconds since 1970 at which the first certificate of a PEM file expires. Raises Invalid, OSError."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise Invalid("certificate", path, f"give PEM certificates: {error}") from error
    return min(each.not_valid_after_utc.timestamp() for each in found)
