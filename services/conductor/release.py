"""Is a version of a run good enough for robots? The rule of ramp/evaluation/promotion.py, applied to its episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from ramp.evaluation.promotion import Comparison, Start, compared
from ramp.types import EpisodeSummary, Kind, Outcome
from services.actor.assignment import Assignment
from services.clients.releases import Releases
from services.common.settings import Settings
from services.conductor import journal
from services.conductor.evaluation import assignments, evaluate
from services.conductor.rundir import Lock, RunDir

Results = dict[Start, bool]


def tried(past: Iterable[journal.Event], versions: Iterable[int]) -> Mapping[int, Results]:
    """Success by held-out start, of each version, as far as the journal tells of it."""
    found: dict[int, Results] = {version: {} for version in versions}
    for event in past:
        if isinstance(event, journal.Episode) and event.summary.purpose == "eval":
            each = event.summary
            if each.policy_version in found:
                found[each.policy_version][each.task, each.seed] = each.outcome is Outcome.SUCCESS
    return found


def compare(
    settings: Settings, rundir: RunDir, new: int, old: int, episodes_per_task: int, tell: Callable[[str], None]
) -> Comparison:
    """Two versions on the same held-out starts: those of the journal, and for the rest real actors, now.

    Raises Unavailable, Invalid, Corrupt, and Occupied where there is a rest while the run goes on.
    """
    known = tried(journal.read(rundir.journal), (new, old))
    wanted = {each: assignments(settings, each, episodes_per_task) for each in (new, old)}
    todo = [each for version in (new, old) for each in wanted[version] if (each.task, each.seed) not in known[version]]
    for summary in _rolled_out(settings, rundir, todo, tell) if todo else ():
        known[summary.policy_version][summary.task, summary.seed] = summary.outcome is Outcome.SUCCESS
    starts = [(each.task, each.seed) for each in wanted[new]]
    return compared(*({start: known[version][start] for start in starts} for version in (new, old)))


def _rolled_out(
    settings: Settings, rundir: RunDir, todo: list[Assignment], tell: Callable[[str], None]
) -> Iterator[EpisodeSummary]:
    lock = Lock(rundir)
    try:
        yield from evaluate(settings, rundir, todo, tell)
    finally:
        lock.release()


def aliases(releases: Releases, registry_aliases: Mapping[str, int]) -> list[dict[str, object]]:
    """A row for each alias of policies: its version, and since when and why, where the history says so."""
    last = {change.alias: change for change in releases.history()}
    return [
        {
            "alias": name,
            "kind": Kind.POLICY.value,
            "version": version,
            "since": last[name].time if name in last else None,
            "who": last[name].who if name in last else None,
            "why": last[name].why if name in last else None,
        }
        for name, version in sorted(registry_aliases.items())
    ]
