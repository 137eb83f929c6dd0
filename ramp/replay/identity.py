"""Who a shard is, over all its restarts and addresses: its name, and a mark of its data that no other directory has."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import uuid4

from ramp.errors import Corrupt, Invalid
from ramp.replay import durable

FILE = "identity.json"


@dataclass(frozen=True, slots=True)
class Identity:
    """Example: Identity("shard-0", "9f0c...")"""

    name: str
    data: str  # of the directory's content, chosen when it was first served


def identify(directory: Path, name: str) -> Identity:
    """Of a shard's directory; it is written down when it is asked for first.

    Raises Invalid where the directory is another shard's, Corrupt where the file cannot be read, OSError.
    """
    place = directory / FILE
    if not place.exists():
        _write(place, Identity(name, uuid4().hex))
    try:
        found = Identity(**json.loads(place.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise Corrupt(f"{place} cannot be read: {error}; write {{'name': ..., 'data': ...}} as it was") from error
    if found.name != name:
        raise Invalid("shard", name, f"{directory} holds the shard {found.name}; serve it under that name")
    return found


def _write(place: Path, identity: Identity) -> None:
    partial = place.with_name(f".{FILE}")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(asdict(identity), file)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(place)
    durable.sync(place.parent)
