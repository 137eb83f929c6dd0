"""One registered version on fixed seeds, through real actors: `ramp eval`, after or between runs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

from ramp.errors import Invalid, NotFound
from ramp.recipes.recipe import Recipe
from ramp.types import EpisodeSummary, Kind
from services.actor.assignment import Assignment
from services.clients.registry import DirectoryRegistry
from services.common.settings import Settings
from services.conductor.crew import Crew, Done, Lost
from services.conductor.fleet import Fleet
from services.conductor.journal import Process
from services.conductor.rundir import RunDir
from services.conductor.schedule import Dispatch

TICK_S = 0.5


def find_version(registry: DirectoryRegistry, name: str) -> int:
    """The number of a policy given by number or alias. Raises NotFound with what there is."""
    number = int(name) if name.isdecimal() else registry.resolve(Kind.POLICY, name)
    known = registry.versions(Kind.POLICY)
    if number is None or number not in known:
        aliases = ", ".join(registry.aliases(Kind.POLICY)) or "none"
        versions = f"1 to {max(known)}" if known else "none"
        raise NotFound(f"no policy {name!r}; versions: {versions}; aliases: {aliases}")
    return number


def assignments(recipe: Recipe, version: int, episodes_per_task: int) -> list[Assignment]:
    """The fixed held-out seeds, tasks interleaved."""
    first = recipe.evaluation.first_seed
    return [
        Assignment(purpose="eval", task=task, seed=first + i, policy_version=version)
        for i in range(episodes_per_task)
        for task in recipe.tasks
    ]


def thinking_aloud(settings: Settings, todo: list[Assignment]) -> list[Assignment]:
    """The first episode of each task aloud. Raises Invalid where the run's policies do not think."""
    if not settings.policy.thought:
        raise Invalid("--thoughts", "policy.thought=false", "this run's policies do not think; leave it out")
    first = settings.evaluation.first_seed
    return [replace(each, aloud=each.seed == first) for each in todo]


def evaluate(
    settings: Settings, rundir: RunDir, todo: list[Assignment], tell: Callable[[str], None]
) -> Iterator[EpisodeSummary]:
    """The episodes as they come in. Raises Unavailable, Invalid, Corrupt."""
    with staffed(settings, rundir, tell) as fleet:
        yield from drain(fleet.crew, list(reversed(todo)), tell)


@contextlib.contextmanager
def staffed(settings: Settings, rundir: RunDir, tell: Callable[[str], None]) -> Iterator[Fleet]:
    """A fleet without a learner, for as long as the block lasts. Raises Unavailable where a part does not start."""
    rundir.make()
    fleet = Fleet(settings, rundir)
    try:
        for event in fleet.start(with_learner=False):
            tell(f"{event.name} {event.what}")
        yield fleet
    finally:
        try:
            _tell_all(fleet.stop_work(_no_hurry), tell)
        finally:
            _tell_all(fleet.stop_services(_no_hurry), tell)


def _tell_all(events: Iterator[Done | Lost | Process], tell: Callable[[str], None]) -> None:
    for event in events:
        if isinstance(event, Process):
            tell(f"{event.name} {event.what}")


def _no_hurry() -> bool:
    return False


def drain(crew: Crew, todo: list[Assignment], tell: Callable[[str], None]) -> Iterator[EpisodeSummary]:
    """The episodes of `todo`, from its end, as they come in; one that is lost is tried again."""
    while todo or crew.inflight:
        while todo and (member := crew.free()):
            crew.give(member, Dispatch(todo.pop(), "eval"))
        for what in crew.collect(TICK_S):
            if isinstance(what, Done):
                yield what.summary
            elif isinstance(what, Lost):
                tell(f"{what.actor} lost an episode: {what.why}")
                todo.append(what.dispatch.assignment)
            else:
                tell(f"{what.name} {what.what}")
