"""Which machine this is, as far as its files and its memory are concerned."""

from __future__ import annotations

import socket
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
ANYWHERE = ("0.0.0.0", "::", "[::]")  # where a server listens on all of this machine's addresses


def boot_id() -> str:
    """The same in all processes that share one running kernel, containers too; "" where the kernel does not tell."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def reachable(host: str) -> str:
    """How others call this machine, whose server listens on `host`."""
    if host not in ANYWHERE:
        return host
    name = socket.gethostname()
    try:
        address = socket.gethostbyname(name)  # a pod's name is known to itself alone, its address to all
    except OSError:
        return name
    return name if address.startswith("127.") else address
