"""Which shard an episode belongs to: the one with the highest random weight for its id (rendezvous hashing).

Everybody who knows the same names comes to the same answer, without asking anybody. A new shard takes about one in n of
the ids, from all others alike; the others keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b


def ranking(episode_id: str, names: Iterable[str]) -> list[str]:
    """All shards, by their weight for this id; the first is the episode's."""
    return sorted(names, key=lambda name: (weight(episode_id, name), name), reverse=True)


def home(episode_id: str, names: Iterable[str]) -> str:
    """The shard of this id. Raises ValueError where there is none."""
    return max(names, key=lambda name: (weight(episode_id, name), name))


def weight(episode_id: str, name: str) -> int:
    """64 bits that the two names alone decide; the same in every process and for ever."""
    return int.from_bytes(blake2b(f"{name}\0{episode_id}".encode(), digest_size=8).digest(), "big")
