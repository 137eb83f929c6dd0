"""The rollout actors: one small queue of assignments each, replaced when they die."""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import ray

from ramp.errors import Invalid, Unavailable
from ramp.types import EpisodeSummary
from services.actor.worker import start_actor
from services.common.settings import Settings
from services.conductor import descendants
from services.conductor.journal import Process
from services.conductor.schedule import Dispatch

QUEUE = 2  # assignments at one actor: it never idles while the conductor is busy
BUDGET = 8  # deaths or errors of one actor within BUDGET_S
BUDGET_S = 120.0
RATE_WINDOW_S = 30.0
START_S = 120.0  # longest until a new actor greets, where an episode may not take longer: the machine may be busy


class Hands(Protocol):
    """What the crew needs of an actor; a Ray actor handle, or a fake in tests."""

    run: Any
    whoami: Any
    close: Any


Launch = Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class Done:
    """An episode came in."""

    summary: EpisodeSummary
    dispatch: Dispatch
    actor: str


@dataclass(frozen=True, slots=True)
class Lost:
    """An assignment failed or died with its actor; it is wanted again."""

    dispatch: Dispatch
    actor: str
    why: str


@dataclass
class Member:
    """One actor, over all its lives."""

    name: str
    handle: Any
    queue: dict[Any, Dispatch] = field(default_factory=dict)  # object reference -> what was asked
    hello: Any = None  # reference of the pending whoami
    pid: int = 0
    metrics_port: int = 0
    episodes: int = 0
    restarts: int = 0
    troubles: deque[float] = field(default_factory=deque)
    recent: deque[tuple[float, int]] = field(default_factory=deque)  # (when, steps) of finished episodes
    since: float = field(default_factory=time.monotonic)  # when what it works on now began
    last_trouble: str = ""

    @property
    def doing(self) -> str:
        """What it works on, for the view."""
        if not self.pid:
            return "starting"
        current = next(iter(self.queue.values()), None)
        return f"{current.assignment.purpose} {current.assignment.task}" if current else "idle"

    def steps_per_s(self) -> float:
        now = time.monotonic()
        while self.recent and now - self.recent[0][0] > RATE_WINDOW_S:
            self.recent.popleft()
        return sum(steps for _, steps in self.recent) / RATE_WINDOW_S


class Crew:
    """All rollout actors of a run."""

    def __init__(self, launch: Launch, patience_s: float) -> None:
        """`patience_s`: for one answer; an actor that has greeted and takes longer hangs."""
        self._launch, self.patience_s = launch, patience_s
        self.members: list[Member] = []

    def start(self, count: int) -> None:
        """Launch `count` actors; they greet when they are ready."""
        self.members = [self._new(f"actor-{i}") for i in range(count)]

    @property
    def inflight(self) -> list[Dispatch]:
        return [dispatch for member in self.members for dispatch in member.queue.values()]

    def free(self) -> Member | None:
        """The member with the shortest queue; None where all queues are full."""
        member = min(self.members, key=lambda each: len(each.queue), default=None)
        return member if member is not None and len(member.queue) < QUEUE else None

    def give(self, member: Member, dispatch: Dispatch) -> None:
        """Queue an assignment."""
        if not member.queue:
            member.since = time.monotonic()
        member.queue[member.handle.run.remote(dispatch.assignment)] = dispatch

    def collect(self, timeout_s: float) -> Iterator[Done | Lost | Process]:
        """What has come in; waits up to `timeout_s` for the first. An actor that hangs is replaced. Raises Unavailable
        for one that fails on."""
        waiting = {reference: member for member in self.members for reference in self._references(member)}
        if not waiting:
            time.sleep(timeout_s)
            return
        ready, _ = ray.wait(list(waiting), num_returns=1, timeout=timeout_s)
        if ready:  # whatever else is there by now
            ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for reference in ready:
            yield from self._take(waiting[reference], reference)
        yield from self._overdue()

    def stop(self, deadline_s: float, hurry: Callable[[], bool] = lambda: False) -> Iterator[Done | Lost | Process]:
        """Ask all to leave in order, then end them; yields what came in meanwhile. What had not begun is withdrawn."""
        for member in self.members:
            for reference in list(member.queue)[1:]:
                ray.cancel(reference)
        farewells = [member.handle.close.remote() for member in self.members if member.pid]
        until = time.monotonic() + deadline_s
        while farewells and time.monotonic() < until and not hurry():
            _, farewells = ray.wait(farewells, num_returns=len(farewells), timeout=0.2)
        yield from self._last_answers()
        for member in self.members:
            ray.kill(member.handle)
            yield Process(name=member.name, what="stopped", pid=member.pid)

    def _last_answers(self) -> Iterator[Done]:
        """What is ready; everything else is given up."""
        for member in self.members:
            for reference in ray.wait(list(member.queue), timeout=0)[0] if member.queue else []:
                with contextlib.suppress(ray.exceptions.RayError):  # withdrawn, or failed at the last moment
                    yield Done(ray.get(reference), member.queue[reference], member.name)
            member.queue.clear()

    def _overdue(self) -> Iterator[Lost | Process]:
        """Members that have not answered for too long are ended and replaced."""
        for member in self.members:
            starting = member.hello is not None
            patience_s = max(START_S, self.patience_s) if starting else self.patience_s
            if (member.queue or starting) and time.monotonic() - member.since > patience_s:
                yield from self._replace(member, f"hung: no answer within {patience_s:g} s")

    def _new(self, name: str) -> Member:
        handle = self._launch(name)
        return Member(name=name, handle=handle, hello=handle.whoami.remote())

    def _references(self, member: Member) -> list[Any]:
        return [*member.queue, *([member.hello] if member.hello is not None else [])]

    def _take(self, member: Member, reference: Any) -> Iterator[Done | Lost | Process]:
        if reference is not member.hello and reference not in member.queue:
            return  # lost with an earlier life of this member
        try:
            answer = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            yield from self._failed(member, reference, error)
            return
        except ray.exceptions.RayError as error:  # it died, ran out of memory, or could not be started
            yield from self._replace(member, str(error) or type(error).__name__)
            return
        member.since = time.monotonic()
        if reference is member.hello:
            yield self._greeted(member, answer)
            return
        dispatch = member.queue.pop(reference)
        member.episodes += 1
        member.troubles.clear()
        member.recent.append((time.monotonic(), answer.steps))
        yield Done(answer, dispatch, member.name)

    def _greeted(self, member: Member, answer: dict[str, int]) -> Process:
        member.hello, member.pid, member.metrics_port = None, answer["pid"], answer["metrics_port"]
        return Process(name=member.name, what="restarted" if member.restarts else "started", pid=member.pid)

    def _failed(self, member: Member, reference: Any, error: ray.exceptions.RayTaskError) -> Iterator[Lost]:
        """The actor lives, its assignment raised. Wrong input does not get better by trying again."""
        if isinstance(error.cause, Invalid):
            raise error.cause
        why, member.since = _in_short(error), time.monotonic()
        dispatch = member.queue.pop(reference, None)
        _count(member, why)
        if dispatch is not None:
            yield Lost(dispatch, member.name, why)

    def _replace(self, member: Member, error: str) -> Iterator[Lost | Process]:
        """Everything the actor had is lost; a new one takes its name, so that it finds its spool, and the old one must
        not hold that any more: a stopped process hears SIGKILL alone."""
        ray.kill(member.handle)
        descendants.kill_one(os.getpid(), member.pid, "actor")
        why = next((line.strip() for line in error.splitlines() if "Worker exit" in line), error.splitlines()[0])
        pid, lost = member.pid, list(member.queue.values())
        member.queue.clear()
        member.pid, member.restarts = 0, member.restarts + 1
        yield Process(name=member.name, what="died", pid=pid, detail=why[:300])
        for dispatch in lost:
            yield Lost(dispatch, member.name, "its actor died")
        _count(member, why)
        member.handle = self._launch(member.name)
        member.hello, member.since = member.handle.whoami.remote(), time.monotonic()


def launcher(settings: Settings, settings_path: str, replay_address: str, redis_url: str) -> Launch:
    """How a member of the crew is started on the connected Ray cluster."""

    def launch(name: str) -> Any:
        return start_actor(name, settings, settings_path, replay_address, redis_url)

    return launch


def _count(member: Member, why: str) -> None:
    now = time.monotonic()
    member.last_trouble = why
    member.troubles.append(now)
    while member.troubles and now - member.troubles[0] > BUDGET_S:
        member.troubles.popleft()
    if len(member.troubles) > BUDGET:
        raise Unavailable(
            f"{member.name} failed {len(member.troubles)} times within {BUDGET_S:g} s, at last with: {why}"
        )


def _in_short(error: ray.exceptions.RayTaskError) -> str:
    cause = error.cause if isinstance(error.cause, BaseException) else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[-1][:300] if lines else 'no message'}"
