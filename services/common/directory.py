"""The shard directory as a value: which replay shards there are, and where each listens.

In words, as settings and command lines have it: `shard-0=10.0.0.1:7001,shard-1=10.0.0.2:7001`. One address alone is
that of shard-0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ramp.errors import Invalid
from ramp.replay.places import shard_name

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
ADDRESS = re.compile(r".+:\d+")


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard. Its name decides which episodes it receives, so it stays the same wherever the shard runs.

    Example: Shard("shard-0", "10.0.0.1:7001", "9f0c...")
    """

    name: str
    address: str  # host:port
    data: str = ""  # the mark of its data (ramp/replay/identity.py); "" where nobody has said it yet


def parse(text: str) -> dict[str, Shard]:
    """By name. Raises Invalid."""
    found: dict[str, Shard] = {}
    for each in text.split(","):
        name, equals, address = each.strip().rpartition("=")
        name = name if equals else shard_name(0)
        if not (NAME.fullmatch(name) and ADDRESS.fullmatch(address)):
            raise Invalid(
                "replay.address", each, "write host:port, or NAME=host:port,NAME=host:port for several shards"
            )
        if name in found:
            raise Invalid("replay.address", name, "name each shard once")
        found[name] = Shard(name, address)
    return found


def in_words(shards: Iterable[Shard]) -> str:
    """The inverse of `parse`."""
    return ",".join(f"{each.name}={each.address}" for each in shards)
