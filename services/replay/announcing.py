"""A replay server in the shard directory: who it is, and where it is found."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path

from ramp.errors import Invalid
from ramp.replay.identity import identify
from ramp.replay.places import shard_name
from services.common.coordination import Coordination
from services.common.directory import ADDRESS, NAME, Shard
from services.common.host import reachable
from services.common.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """What a server is called, and by which address others find it.

    Example: Identity(name="shard-2", advertised="ramp-replay-2.ramp-replay.robots.svc:7001")
    """

    name: str
    advertised: str = ""  # host:port; empty: where it listens

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise Invalid("--shard", self.name, "use small letters, digits and dashes")
        if self.advertised and not ADDRESS.fullmatch(self.advertised):
            raise Invalid("--advertise", self.advertised, "write host:port, as other machines call this one")

    @property
    def host(self) -> str:
        """The advertised one, or ""."""
        return self.advertised.rpartition(":")[0].strip("[]")

    def address(self, host: str, port: int) -> str:
        """How others call a server that listens there."""
        return self.advertised or f"{reachable(host)}:{port}"

    def flight_port(self, settings: Settings) -> int:
        """Of shards on one machine the first takes the setting's and the others' follow; one that is advertised has a
        host of its own. 0: any."""
        first = settings.replay.flight_port
        names = [shard_name(number) for number in range(settings.replay.shards)]
        return first + names.index(self.name) if first and not self.advertised and self.name in names else first


def name_of_host(hostname: str = "") -> str:
    """The shard that the number behind the last dash of a host name means, by default of this machine's: replay-2 of a
    StatefulSet has shard-2. Raises Invalid."""
    hostname = (hostname or socket.gethostname()).partition(".")[0]
    number = hostname.rpartition("-")[2]
    if not number.isdecimal():
        raise Invalid("--shard-from-hostname", hostname, "it ends in no number; name the shard by --shard")
    return shard_name(int(number))


def announce(board: Coordination, directory: Path, name: str, address: str) -> bool:
    """Into the directory until the board is closed; False where Redis does not answer now, which mends itself.

    Raises Invalid where the data are another shard's, Conflict where a server with other data has the name, Corrupt.
    """
    return board.announce_shard(Shard(name, address, identify(directory, name).data))
