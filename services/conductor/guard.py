"""Takes a promotion back that has made things worse on robots, by the rule of ramp/evaluation/regression.py.

Episodes are told apart by the version that acted in them, not by when they ended: a robot that was away follows late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ramp.evaluation.regression import Bounds, Tally, regression, tally
from ramp.replay.info import EpisodeInfo
from ramp.types import Outcome
from services.clients.releases import PROMOTE, STABLE, Change, Releases
from services.common.audit import Audit
from services.common.place import ReleasePlace

WATCHER = "conductor"  # who rolls back by itself

Query = Callable[[], Iterable[EpisodeInfo]]
"""All that replay has stored."""


def bounds(place: ReleasePlace) -> Bounds:
    """As the settings say."""
    return Bounds(episodes=place.rollback_episodes, drop=place.rollback_drop, rise=place.rollback_rise)


def tally_of(stored: Iterable[EpisodeInfo], version: int) -> Tally:
    """What robots and actors did with a version, demonstrations left out."""
    mine = [each for each in stored if each.policy_version == version and "demos" not in each.tables]
    return tally((each.outcome is Outcome.SUCCESS, each.human_steps > 0) for each in mine)


def guard(releases: Releases, query: Query, place: ReleasePlace, audit: Audit) -> Change | None:
    """Roll back the last promotion of `stable` where it has made things worse; what was done, if anything.

    Raises what `query` raises, Corrupt.
    """
    history = [change for change in releases.history() if change.alias == STABLE]
    if not history or history[-1].what != PROMOTE or not history[-1].before:
        return None
    last, stored = history[-1], list(query())
    before, after = tally_of(stored, last.before), tally_of(stored, last.version)
    why = regression(before, after, bounds(place))
    if not why:
        return None
    with audit.act(WATCHER, "operator", "ReleaseRollback", alias=STABLE, version=last.version, reason=why):
        return releases.rollback(STABLE, who=WATCHER, why=why, numbers=numbers(before, after))


def numbers(before: Tally, after: Tally) -> dict[str, int]:
    """For the history."""
    pairs = {"before": before, "after": after}
    return {
        f"{name}_{what}": getattr(each, what)
        for name, each in pairs.items()
        for what in ("episodes", "successes", "helped")
    }


class Guard:
    """What the conductor asks again and again, in a thread of its own."""

    def __init__(
        self, releases: Releases, query: Callable[[], Iterable[EpisodeInfo]], place: ReleasePlace, audit: Audit
    ):
        self._releases, self._query, self._place, self._audit = releases, query, place, audit
        self._said: list[str] = []

    def __call__(self) -> bool:
        """Whether something was rolled back. Raises as `guard`; the next call looks again."""
        self._releases.observe()
        change = guard(self._releases, self._query, self._place, self._audit)
        if change:
            self._said.append(f"{change.alias} rolled back from {change.before} to {change.version}: {change.why}")
        return change is not None

    def said(self) -> list[str]:
        """For people, each once."""
        said, self._said = self._said, []
        return said
