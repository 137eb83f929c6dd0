"""What the server says of its door for bulk data, and by what a learner knows that it sees the same files."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from rampwire.v1 import replay_pb2 as wire

from services.common.host import boot_id

NONCE = ".nonce"


def announced(segments: Path, flight_port: int) -> wire.Bulk:
    """Writes a new nonce into the directory of the segments: who reads it there may ask for places. Raises OSError."""
    nonce = secrets.token_hex(16)
    partial = segments / ".nonce.new"
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o640), "w") as file:
        file.write(nonce)
    partial.replace(segments / NONCE)
    return wire.Bulk(flight_port=flight_port, directory=str(segments.resolve()), nonce=nonce, host=boot_id())
