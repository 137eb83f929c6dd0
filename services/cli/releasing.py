"""What `ramp release promote` and `rollback` do; imported when they are called, as it takes a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ramp.errors import Invalid
from ramp.evaluation.promotion import check_promotion
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.clients.releases import STABLE, Change, Releases
from services.common.audit import Audit, person
from services.common.settings import load_settings
from services.conductor import evaluation, release, rundir

Tell = Callable[[str], None]


def promoted(
    directory: Path | None, name: str, alias: str, *, episodes: int | None, force: bool, reason: str, tell: Tell
) -> Change:
    """Compared first, where that is needed. Raises Invalid, NotFound, Unavailable, Occupied (the run goes on)."""
    found = rundir.find(directory)
    registry = DirectoryRegistry(found.registry)
    version = evaluation.find_version(registry, name)
    if force and not reason.strip():
        raise Invalid("--reason", "''", "say why nothing is compared")
    with Audit(found.audit).act(
        person(), "operator", "ReleasePromote", alias=alias, version=version, force=force, reason=reason
    ):
        stable = registry.resolve(Kind.POLICY, STABLE)
        numbers: dict[str, Any] = {"forced": True} if force else {}
        if alias == STABLE and stable and stable != version and not force:
            numbers, said = _compared(found, version, stable, episodes, tell)
            reason = reason or said
        why = reason or "nothing to compare with"
        return Releases(registry).promote(alias, version, who=person(), why=why, numbers=numbers)


def _compared(
    found: rundir.RunDir, version: int, stable: int, episodes: int | None, tell: Tell
) -> tuple[dict[str, Any], str]:
    """Numbers and words for the history. Raises Invalid where the version is not good enough."""
    settings = load_settings(found.settings)
    each = episodes or settings.evaluation.episodes_per_task
    comparison = release.compare(settings, found, version, stable, each, tell)
    place = settings.release
    check_promotion(comparison, min_starts=place.min_starts, min_gain=place.min_gain)
    interval = f"{comparison.low:+.3f} to {comparison.high:+.3f}"
    return asdict(comparison), f"gain {comparison.gain:+.3f} ({interval}) on {comparison.starts} starts"


def rolled_back(directory: Path | None, alias: str, reason: str) -> Change:
    """Raises NotFound where there is nothing to go back to."""
    found = rundir.find(directory)
    with Audit(found.audit).act(person(), "operator", "ReleaseRollback", alias=alias, reason=reason):
        why = reason or "asked for"
        return Releases(DirectoryRegistry(found.registry)).rollback(alias, who=person(), why=why)
