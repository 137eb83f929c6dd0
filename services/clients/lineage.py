"""Which published versions may have learnt from an episode: by time and table, and through what they came from.

A manifest says which tables the training drew from (`tables`), and after which time no episode had ended that it has
drawn from (`watermark.ended_by`, by the replay servers' clocks). It says no more: a version that is named here may have
drawn the episode; one that is not, has not. What came of a named version is named, too: by its parent, and a policy by
the world model whose tokens it was given.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ramp.errors import Corrupt
from ramp.types import Kind

if TYPE_CHECKING:
    from services.clients.registry import DirectoryRegistry


@dataclass(frozen=True, kw_only=True, slots=True)
class Retracted:
    """An episode as far as it matters here."""

    tables: tuple[str, ...]
    ended_at: float  # seconds since 1970, by the clock of its shard


@dataclass(frozen=True, kw_only=True, slots=True)
class Touched:
    """A version that may have learnt from one of the episodes, and why."""

    kind: Kind
    version: int
    why: str
    aliases: tuple[str, ...]  # that point to it now


def touched(registry: DirectoryRegistry, episodes: Collection[Retracted]) -> list[Touched]:
    """World models first, then policies, by number. Raises NotFound, OSError."""
    whys: dict[tuple[Kind, int], str] = {}
    for kind in (Kind.WORLD, Kind.POLICY):
        for version in registry.versions(kind):
            why = _why(registry, kind, version, episodes, whys)
            if why:
                whys[kind, version] = why
    return [_told(registry, kind, version, why) for (kind, version), why in whys.items()]


def _why(
    registry: DirectoryRegistry,
    kind: Kind,
    version: int,
    episodes: Collection[Retracted],
    known: Mapping[tuple[Kind, int], str],
) -> str:
    """Empty where the version has not learnt from them."""
    try:
        manifest = registry.manifest(kind, version)
    except Corrupt:
        return "its manifest is damaged and does not say"
    if why := _drawn(manifest, episodes):
        return why
    if (kind, manifest.get("parent")) in known:
        return f"from {kind} {manifest['parent']}"
    world = manifest.get("world_version")
    return f"with the tokens of world {world}" if kind is Kind.POLICY and (Kind.WORLD, world) in known else ""


def _drawn(manifest: Mapping[str, Any], episodes: Collection[Retracted]) -> str:
    until, tables = manifest.get("watermark", {}).get("ended_by"), manifest.get("tables")
    if until is None or tables is None:
        return "its manifest does not say what was drawn"
    drawn = sum(each.ended_at <= until and bool(set(tables) & set(each.tables)) for each in episodes)
    return f"may have drawn {drawn} of them" if drawn else ""


def _told(registry: DirectoryRegistry, kind: Kind, version: int, why: str) -> Touched:
    aliases = sorted(name for name, number in registry.aliases(kind).items() if number == version)
    return Touched(kind=kind, version=version, why=why, aliases=tuple(aliases))
