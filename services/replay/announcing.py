"""A replay server in the shard directory: who it is, and where it is found."""

from __future__ import annotations

import socket
from pathlib import Path

from ramp.replay.identity import identify
from services.common.coordination import Coordination
from services.common.directory import Shard

ANYWHERE = ("0.0.0.0", "::", "[::]")


def announce(board: Coordination, directory: Path, name: str, host: str, port: int) -> bool:
    """Into the directory until the board is closed; False where Redis does not answer now, which mends itself.

    Raises Invalid where the data are another shard's, Conflict where a server with other data has the name, Corrupt.
    """
    reachable = socket.gethostname() if host in ANYWHERE else host
    return board.announce_shard(Shard(name, f"{reachable}:{port}", identify(directory, name).data))
