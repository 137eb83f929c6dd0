"""What the server says of its door for bulk data, and by what a learner knows that it sees the same files."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from rampwire.v1 import replay_pb2 as wire

from services.common.host import boot_id

logger = logging.getLogger(__name__)

NONCE = ".nonce"


def announced(segments: Path, flight_port: int, flight_host: str = "") -> wire.Bulk:
    """Writes a new nonce into the directory of the segments: who reads it there may ask for places. A disk that refuses
    it has none, and all learners get their frames through the door. Without a `flight_host` the door is found on the
    host by which the server is called."""
    nonce = secrets.token_hex(16)
    try:
        _write(segments, nonce)
    except OSError as error:
        logger.warning("learners on this host cannot map the segments: %s", error)
        nonce = ""
    return wire.Bulk(
        flight_port=flight_port,
        flight_host=flight_host,
        directory=str(segments.resolve()),
        nonce=nonce,
        host=boot_id(),
    )


def _write(segments: Path, nonce: str) -> None:
    """First write, then rename, so that a reader sees a whole one. Raises OSError."""
    partial = segments / ".nonce.new"
    with os.fdopen(os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o640), "w") as file:
        file.write(nonce)
    partial.replace(segments / NONCE)
