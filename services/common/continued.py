"""The settings of a run that goes on: what was begun stays as it is, where it takes place may change."""

from __future__ import annotations

from dataclasses import replace

from ramp.errors import Invalid
from services.common.limits import check_rules
from services.common.settings import Settings, compose, describe

MAY_CHANGE = ("learner", "actors", "replay", "redis", "ray", "metrics")
NEW_RUN = "start another run in a new --dir for that"


def continued(stored: Settings, wanted: Settings) -> Settings:
    """`stored`, with the place that is `wanted` now. Raises Invalid where anything else is asked for that differs from
    what the run has; what `wanted` has by default alone is not asked for."""
    if wanted.recipe != stored.recipe:
        raise Invalid("recipe", wanted.recipe, f"the run was begun with {stored.recipe}; {NEW_RUN}")
    usual, begun = _kept(compose(wanted.recipe, None, [])), _kept(stored)
    for key, value in _kept(wanted).items():
        if value not in (usual[key], begun.get(key)):
            raise Invalid(key, value, f"the run was begun with {begun.get(key)}; {NEW_RUN}")
    settings = replace(stored, **{name: getattr(wanted, name) for name in MAY_CHANGE})
    check_rules(settings)
    return settings


def _kept(settings: Settings) -> dict[str, str]:
    """What may not change, by its dotted name."""
    placed = (*MAY_CHANGE, "dir")
    return {row.key: row.value for row in describe(settings) if row.key.partition(".")[0] not in placed}
