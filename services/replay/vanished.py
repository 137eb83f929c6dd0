"""Lets the kernel find out that a client of the Flight door has vanished without a word: cut off, or without power.

Arrow Flight lets nobody set the keepalive of its connections, and gRPC's own asks every two hours; until then a
producer's thread and place would be lost. So the sockets of this process are told one by one.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from services.common.periodic import Periodic

IDLE_S, BETWEEN_S, PROBES = 30, 10, 3  # silence, then questions so many seconds apart; after the last one it is gone
SOCKETS = Path("/proc/self/fd")


class Keepalive(Periodic):
    """Asks of every connection to `port` of this process. Example: Keepalive(7002).start()"""

    def __init__(self, port: int, period_s: float = 5.0) -> None:
        super().__init__("keepalive", period_s)
        self._port = port
        self._told: set[object] = set()  # the other ends

    def turn(self) -> bool:
        there: set[object] = set()
        for peer, connection in connections(self._port):
            if peer not in self._told:
                with contextlib.suppress(OSError):  # it has gone this moment
                    ask(connection)
            there.add(peer)
        self._told = there
        return True


def connections(port: int) -> Iterator[tuple[object, socket.socket]]:
    """The other end, and the socket, which is open for as long as the caller looks at it."""
    for number in os.listdir(SOCKETS):
        with contextlib.suppress(OSError):  # it was closed meanwhile, or it is no connection
            if os.readlink(SOCKETS / number).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(number))) as found:
                    if found.family in (socket.AF_INET, socket.AF_INET6) and found.getsockname()[1] == port:
                        yield found.getpeername(), found


def ask(connection: socket.socket) -> None:
    """From now on."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, IDLE_S),
        (socket.TCP_KEEPINTVL, BETWEEN_S),
        (socket.TCP_KEEPCNT, PROBES),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
