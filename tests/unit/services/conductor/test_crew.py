"""The crew over real Ray actors that collect nothing: queues, deaths, errors, budgets."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import psutil
import pytest
import ray

from ramp.errors import Invalid, Unavailable
from ramp.types import EpisodeSummary
from services.actor.assignment import Assignment
from services.common.settings import Settings
from services.conductor import cluster, crew
from services.conductor.crew import QUEUE, Crew, Done, Lost
from services.conductor.journal import Process
from services.conductor.schedule import Dispatch
from tests.unit.services.common.redis_process import eventually
from tests.unit.services.conductor.summaries import summary

pytestmark = pytest.mark.loop


@ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)
class Puppet:
    """Answers with the seed it was given; seed 13 raises, seed 66 kills."""

    def __init__(self, name: str) -> None:
        self._name = name

    def run(self, assignment: Assignment) -> EpisodeSummary:
        if assignment.seed == 13:
            raise Unavailable("replay is away")
        if assignment.seed == 14:
            raise Invalid("task", assignment.task, "did you mean reach-v3?")
        if assignment.seed == 99:
            os.kill(os.getpid(), signal.SIGSTOP)
        if assignment.seed == 66:
            os.kill(os.getpid(), signal.SIGKILL)
        return summary(assignment.purpose, assignment.task, assignment.seed)

    def whoami(self) -> dict[str, int]:
        return {"pid": os.getpid(), "metrics_port": 0}

    def close(self) -> None:
        return None


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    cluster.start(Settings())
    yield
    cluster.stop()


@pytest.fixture
def members() -> Iterator[Callable[[int], Crew]]:
    made: list[Crew] = []

    def make(count: int) -> Crew:
        made.append(Crew(lambda name: Puppet.remote(name), 180.0))
        made[-1].start(count)
        return made[-1]

    yield make
    for each in made:
        list(each.stop(0.0))


def demo(seed: int) -> Dispatch:
    return Dispatch(Assignment(purpose="demo", task="a", seed=seed, tables=("demos",)))


def collect(team: Crew, count: int) -> list[Done | Lost | Process]:
    """The first `count` things that come in."""
    seen: list[Done | Lost | Process] = []
    while len(seen) < count:
        seen.extend(team.collect(5.0))
    return seen


def test_actors_greet_and_work_through_their_queues(members: Callable[[int], Crew]) -> None:
    team = members(2)
    given = 0
    while member := team.free():
        team.give(member, demo(given))
        given += 1
    assert given == 2 * QUEUE == len(team.inflight)
    seen = collect(team, 2 + given)
    assert sorted(each.name for each in seen if isinstance(each, Process)) == ["actor-0", "actor-1"]
    assert sorted(each.summary.seed for each in seen if isinstance(each, Done)) == list(range(given))
    assert team.inflight == []
    assert {member.doing for member in team.members} == {"idle"}
    assert sum(member.steps_per_s() for member in team.members) > 0


def test_a_killed_actor_is_replaced_under_its_name_and_all_it_had_is_lost(members: Callable[[int], Crew]) -> None:
    team = members(1)
    collect(team, 1)
    first = team.members[0].pid
    team.give(team.members[0], demo(66))
    team.give(team.members[0], demo(2))
    died, *lost = collect(team, 3)
    assert isinstance(died, Process)
    assert (died.name, died.what, died.pid) == ("actor-0", "died", first)
    assert sorted(each.dispatch.assignment.seed for each in lost if isinstance(each, Lost)) == [2, 66]
    back = collect(team, 1)[0]
    assert isinstance(back, Process)
    assert (back.name, back.what) == ("actor-0", "restarted")
    team.give(team.members[0], demo(3))
    assert isinstance(collect(team, 1)[0], Done)


def test_an_assignment_that_raises_is_lost_and_the_actor_lives(members: Callable[[int], Crew]) -> None:
    team = members(1)
    collect(team, 1)
    team.give(team.members[0], demo(13))
    lost = collect(team, 1)[0]
    assert isinstance(lost, Lost)
    assert lost.why == "Unavailable: replay is away"
    team.give(team.members[0], demo(1))
    assert isinstance(collect(team, 1)[0], Done)


def test_wrong_input_is_not_tried_again_but_raised_with_its_remedy(members: Callable[[int], Crew]) -> None:
    team = members(1)
    collect(team, 1)
    team.give(team.members[0], demo(14))
    with pytest.raises(Invalid, match="did you mean reach-v3") as caught:
        collect(team, 1)
    assert (caught.value.field, caught.value.value) == ("task", "a")


def test_an_actor_that_fails_again_and_again_ends_the_run(
    members: Callable[[int], Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "BUDGET", 2)
    team = members(1)
    collect(team, 1)
    for _ in range(2):
        team.give(team.members[0], demo(13))
        collect(team, 1)
    team.give(team.members[0], demo(13))
    with pytest.raises(Unavailable, match=r"actor-0 failed 3 times .* replay is away"):
        collect(team, 1)


def test_an_actor_that_hangs_is_ended_and_replaced(members: Callable[[int], Crew]) -> None:
    team = members(1)
    collect(team, 1)
    first = psutil.Process(team.members[0].pid)
    team.give(team.members[0], demo(99))
    eventually(lambda: first.status() == psutil.STATUS_STOPPED)
    team.patience_s = 0.0
    died, lost = list(team.collect(0.01))
    team.patience_s = 180.0
    assert isinstance(died, Process)
    assert died.detail.startswith("hung")
    assert isinstance(lost, Lost)
    assert psutil.wait_procs([first], timeout=20)[1] == []
    back = collect(team, 1)[0]
    assert isinstance(back, Process)
    assert back.what == "restarted"


def test_an_actor_that_ran_out_of_memory_is_replaced(
    members: Callable[[int], Crew], monkeypatch: pytest.MonkeyPatch
) -> None:
    team = members(1)
    collect(team, 1)
    team.give(team.members[0], demo(1))

    def get(reference: object) -> object:
        raise ray.exceptions.OutOfMemoryError("the node ran out of memory")

    monkeypatch.setattr(crew.ray, "get", get)
    died, lost = collect(team, 2)
    monkeypatch.undo()
    assert isinstance(died, Process)
    assert (died.what, died.detail) == ("died", "the node ran out of memory")
    assert isinstance(lost, Lost)


def test_at_the_farewell_what_is_done_counts_and_what_has_not_begun_is_withdrawn(
    members: Callable[[int], Crew],
) -> None:
    team = members(1)
    collect(team, 1)
    team.give(team.members[0], demo(1))
    ray.wait(list(team.members[0].queue))
    done, stopped = list(team.stop(5.0))
    assert isinstance(done, Done)
    assert isinstance(stopped, Process)
    assert (stopped.name, stopped.what) == ("actor-0", "stopped")
    assert team.inflight == []


def test_ray_leaves_the_terminate_signal_to_who_asked_for_it_first() -> None:
    cluster.stop()
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        mine = signal.getsignal(signal.SIGTERM)
        cluster.start(Settings())
        assert signal.getsignal(signal.SIGTERM) is mine
    finally:
        signal.signal(signal.SIGTERM, before)
