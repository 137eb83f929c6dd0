"""Everything that a conductor starts: brought up in the order of the topology, watched, and stopped in reverse."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from ramp.errors import Unavailable
from ramp.replay.places import lay_out, planned, shard_name
from services.backup.run import run_backups
from services.clients.connect import AnyClient, connect
from services.clients.credentials import own_credentials
from services.clients.registry import DirectoryRegistry
from services.clients.releases import Releases
from services.common import metrics
from services.common.audit import Audit, audit_log, person
from services.common.coordination import HEARTBEAT_S, board_of, serving, without_password
from services.common.directory import Shard, in_words, parse
from services.common.keyring import provide, tokens_file
from services.common.settings import Settings
from services.common.tokens import Role
from services.conductor import cluster, descendants, processes, redis_server, targets, topology
from services.conductor.crew import Crew, Done, Lost, launcher
from services.conductor.guard import Guard
from services.conductor.journal import Process
from services.conductor.ports import free_port, free_ports, listens
from services.conductor.processes import Child, Command
from services.conductor.rundir import RunDir
from services.conductor.shard_look import ShardLook
from services.conductor.training import LearnerGroup
from services.conductor.watch import STALL_S, Probe, Watch
from services.learner.group import run_learner

LOOK_EVERY_S = 2.0  # at replay
MEMORY_EVERY_S = 20.0  # the kernel goes through all page tables for it, while whoever is measured waits for new pages
GUARD_EVERY_S = 30.0  # at what robots make of a version that was promoted
PROBE_S = 5.0  # for replay to answer that look
SETTLED_S = HEARTBEAT_S + 1.0  # after its start a Redis has heard of everybody
LEARNER_STOP_S = 30.0  # for the update in hand and its checkpoint
UNWIND_S = 3.0  # for Ray Train to notice that its workers have ended
ACTORS_STOP_S = 3.0
HURRIED_STOP_S = 0.5  # for replay and Redis, once nobody wants to wait
TRAIN_CONTROLLER = "ray::TrainController"
DELIVERY_S = 20.0  # for one spool that an earlier life left


class Fleet:
    """All parts of a run on this machine. Nothing runs before `start`; `stop` is right at any time."""

    def __init__(self, settings: Settings, rundir: RunDir) -> None:
        self.settings, self.rundir = settings, rundir
        own_redis = "" if settings.redis.url else f"redis://127.0.0.1:{free_port('127.0.0.1')}/0"
        self.board = board_of(settings, own_redis)
        self.replay_address = settings.replay.address or in_words(_own_shards(settings))
        self.replay_metrics = _own_metrics(settings)
        self.shards = ShardLook(lambda: self.replay, PROBE_S)
        self.children = self._children()
        self.backups = [run_backups(settings.replay.backup, rundir.path)] if settings.replay.backup.url else []
        self.registry = DirectoryRegistry(rundir.registry)
        where = (str(rundir.settings), self.replay_address, own_redis)
        self.crew = Crew(launcher(settings, *where), settings.actors.episode_s)
        self.learner = LearnerGroup(lambda: run_learner(*where))
        self.guard = Guard(
            Releases(self.registry), lambda: self.replay.query(timeout=PROBE_S), settings.release, Audit(rundir.audit)
        )
        self._guarding = Probe("releases", self.guard, GUARD_EVERY_S)
        replay = Probe("replay", self.shards, LOOK_EVERY_S)
        self.watch = Watch(
            self.registry, self.board, replay, Probe("memory", lambda: descendants.by_role(os.getpid()), MEMORY_EVERY_S)
        )

    @cached_property
    def replay(self) -> AnyClient:
        """Made at its first use: Ray forks this process to start its own, which must happen before gRPC has threads."""
        return self._connect("conductor", Role.OPERATOR)

    def start(self, *, with_learner: bool = True) -> Iterator[Process]:
        """Bring everything up; yields what happened. Raises Unavailable with the remedy where a part does not start."""
        yield from processes.stop_stale(self.rundir.pids)
        if not self.settings.replay.address:
            lay_out(self.rundir.replay, self.settings.replay.shards)
            self._provide_tokens()
        for child in self.children:
            child.start()
        yield from processes.wait_ready(self.children)  # before Ray, which might take the ports that are meant for them
        cluster.start(self.settings)
        self.replay.wait_ready(processes.READY_S)
        if not self.board.ping():
            raise Unavailable(f"Redis does not answer at {without_password(self.board.url)}; check redis.url")
        self.board.clear()
        self._announce()
        yield from self._deliver_left_spools()
        self.crew.start(self.settings.actors.count)
        if with_learner:
            yield self.learner.start()
        self.watch.start()
        self._guarding.start()
        for each in self.backups:
            each.start()

    def _provide_tokens(self) -> None:
        """Those of the run's own processes, and a line in the audit log for each that is new."""
        audit = Audit(audit_log(tokens_file(self.settings)))
        for token in provide(self.settings):
            role = str(token.role)
            audit.write(person(), "operator", "TokenNew", name=token.name, given=role, reason="the run starts")

    def supervise(self) -> Iterator[Process]:
        """Deaths and restarts since the last call. Raises Unavailable for what cannot be kept up."""
        for child in self.children:
            yield from child.poll()
        yield from self.learner.poll()

    def end_stalled_learner(self) -> Iterator[str]:
        """Ray Train does not see a training thread that stands still; it sees a dead process, and starts another.
        Yields what was done, in words."""
        for node, pid in self.watch.stalled():
            cluster.kill(node, pid)
            yield f"learner worker (pid {pid}) has not got on for {STALL_S:g} s and is ended"

    def publish_targets(self) -> None:
        """Let Prometheus find every process that has announced itself. Raises OSError."""
        found = targets.groups(self.watch.redis.latest or (), self.rundir.path.name)
        targets.write(self.rundir.targets, found)

    def stop_work(self, hurry: Callable[[], bool]) -> Iterator[Done | Lost | Process]:
        """Learner with its checkpoint, then actors, whose last episodes reach replay. Once `hurry` says so, nobody is
        given any more time."""
        try:
            if self.learner.state == "up":
                in_time = yield from self._dismiss_learner(hurry)
                self._unwind_learner(hurry)
                late = "" if in_time else "its checkpoint was not waited for to the end"
                yield Process(name="learner", what="stopped", detail=late)
        finally:
            yield from self.crew.stop(ACTORS_STOP_S, hurry)

    def stop_services(self, hurry: Callable[[], bool]) -> Iterator[Process]:
        """Ray, then replay and Redis."""
        self._guarding.close()
        for each in self.backups:
            each.stop()
        self.watch.close()
        cluster.stop()
        self.replay.close()
        self.board.close()
        for child in reversed(self.children):
            stopped = child.stop(HURRIED_STOP_S if hurry() else processes.STOP_S)
            if stopped is not None:
                yield stopped

    def _deliver_left_spools(self) -> Iterator[Process]:
        """What actors of an earlier life left, of whom there are fewer now; the others deliver their own."""
        alive = {f"actor-{i}" for i in range(self.settings.actors.count)}
        for folder in sorted(self.rundir.spool.glob("*")):
            if folder.name not in alive and any(folder.glob("*/*.spool")):
                with self._connect(folder.name, Role.ACTOR, spool=folder) as client:
                    late = "" if client.flush(DELIVERY_S) else "; not all of it yet"
                yield Process(name=folder.name, what="stopped", detail=f"its spool was delivered{late}")

    def _connect(self, name: str, role: Role, spool: Path | None = None) -> AnyClient:
        shown = own_credentials(self.settings, role)
        return connect(self.replay_address, name=name, board=self.board, spool=spool, credentials=shown)

    def _dismiss_learner(self, hurry: Callable[[], bool]) -> Generator[Process, None, bool]:
        """Ask it to stop and wait for its checkpoint; whether it was in time. Its workers withdraw their presence when
        they have written it; Ray Train takes many seconds longer to notice. Redis is kept up to carry the request."""
        self.board.request_stop("the conductor stops")
        until = time.monotonic() + LEARNER_STOP_S
        while self.learner.state == "up" and not self._workers_have_left():
            if hurry() or time.monotonic() > until:
                return False
            for child in self.children:
                yield from child.poll()
            time.sleep(0.1)
        return True

    def _workers_have_left(self) -> bool:
        """Whether the board says so. It does not know while Redis is away, nor until all have had time to announce
        themselves to one that has just been started."""
        found = self.board.presence()
        up_since = max((child.ready_at for child in self.children if child.command.name == "redis"), default=0.0)
        settled = time.monotonic() - up_since > SETTLED_S
        return found is not None and settled and not any(each.role == "learner" for each in found)

    def _unwind_learner(self, hurry: Callable[[], bool]) -> None:
        """Let Ray Train end, or end it: a thread that calls Ray after its shutdown takes the whole process with it."""
        began = time.monotonic()
        while not self.learner.join(0.2) and time.monotonic() - began < LEARNER_STOP_S:
            if hurry() or time.monotonic() - began > UNWIND_S:
                descendants.kill(os.getpid(), TRAIN_CONTROLLER)

    def _announce(self) -> None:
        host, parts = self.settings.metrics.host, ("conductor", "registry", "coordination", "spool")
        where = serving(host, metrics.serve(self.settings.metrics.port, host, services=parts))
        self.board.announce("conductor", "conductor", {"pid": os.getpid(), **where})

    def _children(self) -> list[Child]:
        """The child processes that no setting replaces by one that runs elsewhere."""
        elsewhere = {"redis": self.settings.redis.url, "replay": self.settings.replay.address}
        makers = {"redis": self._redis, "replay": self._replay}
        roles = [role.name for role in topology.children() if not elsewhere[role.name]]
        return [Child(command) for name in roles for command in makers[name]()]

    def _redis(self) -> Iterator[Command]:
        port = urlsplit(self.board.url).port or 6379
        argv = redis_server.argv(port, self.rundir.redis)
        yield self._command("redis", argv, lambda: redis_server.answers(port), lambda: not self.watch.redis.fails)

    def _replay(self) -> Iterator[Command]:
        places = planned(self.rundir.replay, self.settings.replay.shards)
        for shard, name in zip(parse(self.replay_address).values(), self.replay_metrics, strict=True):
            yield self._shard(shard, name, places[shard.name])

    def _shard(self, shard: Shard, name: str, place: Path) -> Command:
        """One replay server; `name` is the process's."""
        host, _, port = shard.address.rpartition(":")
        options = ["--dir", str(place), "--port", port, "--settings", str(self.rundir.settings)]
        options += ["--metrics-port", str(self.replay_metrics[name])]
        options += [] if self.settings.redis.url else ["--redis", self.board.url]  # a password is no argument
        options += ["--shard", shard.name] if len(self.replay_metrics) > 1 else []

        def answers() -> bool:
            return not self.watch.replay.fails and self.shards.answers(shard.name)

        argv = [sys.executable, "-m", topology.role("replay").program, *options]
        return self._command(name, argv, lambda: listens(host, int(port)), answers)

    def _command(
        self, name: str, argv: list[str], is_ready: Callable[[], bool], answers: Callable[[], bool]
    ) -> Command:
        return Command(
            name=name,
            argv=argv,
            env=processes.python_environment(),
            log=self.rundir.log(name),
            pid_file=self.rundir.pids / f"{name}.json",
            is_ready=is_ready,
            answers=answers,
        )


def _own_shards(settings: Settings) -> list[Shard]:
    """Where this run's own shards will listen."""
    replay, first = settings.replay, settings.replay.port
    ports = list(range(first, first + replay.shards)) if first else free_ports(replay.host, replay.shards)
    return [Shard(shard_name(number), f"{replay.host}:{port}") for number, port in enumerate(ports)]


def _own_metrics(settings: Settings) -> dict[str, int]:
    """Metrics port of every replay child, by the child's name."""
    if settings.replay.address:
        return {}
    count = settings.replay.shards
    names = ["replay"] if count == 1 else [shard_name(number) for number in range(count)]
    return dict(zip(names, free_ports(settings.metrics.host, count), strict=True))
