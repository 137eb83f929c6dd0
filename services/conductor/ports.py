"""Ports of this machine: free ones, and whether somebody listens."""

from __future__ import annotations

import contextlib
import random
import socket
from contextlib import ExitStack

from ramp.errors import Unavailable

OWN_PORTS = range(20_000, 32_768)  # above those that Ray's workers take, below Linux's ephemeral ones


def free_port(host: str, wanted: int = 0) -> int:
    """The wanted one where nobody has it, else one of `free_ports`."""
    if wanted and _is_free(host, wanted):
        return wanted
    return free_ports(host, 1)[0]


def free_ports(host: str, count: int) -> list[int]:
    """Different ports that nobody listens on now, and that Linux gives to no outgoing connection while their servers
    start again. Raises Unavailable where there are none."""
    found: list[int] = []
    with ExitStack() as held:
        for port in random.SystemRandom().sample(OWN_PORTS, 100 * count):
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                found.append(port)
            if len(found) == count:
                return found
    raise Unavailable(f"no free port on {host} among {OWN_PORTS.start} to {OWN_PORTS.stop - 1}")


def listens(host: str, port: int) -> bool:
    """Whether a connection is taken there, within a fraction of a second."""
    try:
        with socket.create_connection((host, port), timeout=0.2):
            return True
    except OSError:
        return False


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
