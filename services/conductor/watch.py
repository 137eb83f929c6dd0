"""What the conductor looks at: registry, notice board, replay, memory. Looking never blocks its loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from ramp.errors import RampError, Unavailable
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.common.coordination import Coordination, Presence
from services.conductor import telemetry
from services.conductor.digest import digest
from services.conductor.journal import STAGES, Event, Learner, Process, Replay, Stage, Table, Usage, Version
from services.conductor.ledger import Ledger
from services.conductor.schedule import Landmarks

Measured = TypeVar("Measured")

LEARNER_EVERY_S = 5.0  # between learner, replay and usage lines of the journal
REPLAY_EVERY_S = 10.0
USAGE_EVERY_S = 5.0
REDIS_EVERY_S = 1.0
STALL_S = 600.0  # without a word from a learner whose workers are there; labelling everything is the longest pause


class Probe(Generic[Measured]):
    """Measures in a thread of its own every `every_s` seconds; `latest` is None until there is a first answer."""

    def __init__(self, name: str, measure: Callable[[], Measured], every_s: float) -> None:
        self._measure, self._every_s = measure, every_s
        self.latest: Measured | None = None
        self.answers = False  # the last attempt had an answer
        self.fails = False  # the last attempt had none
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"probe-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(self._every_s + 2.0)

    def _run(self) -> None:
        while True:
            try:
                self.latest = self._measure()
                self.answers, self.fails = True, False
            except (RampError, OSError):
                self.answers, self.fails = False, True
            if self._closed.wait(self._every_s):
                return


class Rhythm:
    """Says yes at most once in `every_s` seconds."""

    def __init__(self, every_s: float) -> None:
        self.every_s, self._next = every_s, 0.0

    def __call__(self) -> bool:
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self.every_s
        return True


class Watch:
    """Turns what it sees into journal events."""

    def __init__(
        self, registry: DirectoryRegistry, board: Coordination, replay: Probe[Any], memory: Probe[dict[str, int]]
    ) -> None:
        self._registry, self._board = registry, board
        self.replay, self.memory = replay, memory
        self.redis: Probe[list[Presence]] = Probe("redis", lambda: _presence(board), REDIS_EVERY_S)
        self.workers: dict[str, str] = {}  # learner worker -> its process id, as announced last
        self.worker_restarts = 0
        self._heard = time.monotonic()  # the learner's last word, or the time when its workers came
        self._after = "0"  # last learner entry that was read
        self.learner: Learner | None = None
        self._said: list[Learner] = []  # since the last line of the journal
        self._learner_due, self._replay_due, self._usage_due = (
            Rhythm(LEARNER_EVERY_S),
            Rhythm(REPLAY_EVERY_S),
            Rhythm(USAGE_EVERY_S),
        )

    def start(self) -> None:
        for probe in (self.replay, self.memory, self.redis):
            probe.start()

    def close(self) -> None:
        for probe in (self.replay, self.memory, self.redis):
            probe.close()

    def look(self, ledger: Ledger) -> Iterator[Event]:
        """Events since the last look; the caller applies each to `ledger` before it takes the next."""
        yield from self._versions(ledger)
        yield from self._telemetry(ledger)
        yield from self._replaced_workers()
        if self.replay.latest is not None and self._replay_due():
            yield _replay_event(self.replay.latest)
        if self.memory.latest is not None and self._usage_due():
            total = sum(self.memory.latest.values())
            peak = max(total, ledger.peak_bytes)
            yield Usage(memory_bytes=self.memory.latest, total_bytes=total, peak_bytes=peak)

    def landmarks(self) -> Landmarks:
        """The registry's aliases that the schedule depends on."""
        stage2 = self._registry.resolve(Kind.POLICY, "stage2")
        return Landmarks(stage2=stage2 or 0, final=self._registry.resolve(Kind.POLICY, "final") or 0)

    def stalled(self) -> list[tuple[str, int]]:
        """Ray node and process id of learner workers that are there and have not got on for too long."""
        if not self.redis.answers or time.monotonic() - self._heard < STALL_S:
            return []
        self._heard = time.monotonic()  # they are not ended twice
        workers = [each.fields for each in self.redis.latest or () if each.role == "learner"]
        return [(fields.get("node", ""), int(fields.get("pid", "0"))) for fields in workers]

    def _versions(self, ledger: Ledger) -> Iterator[Version]:
        for kind in Kind:
            for number in self._registry.versions(kind):
                if not ledger.knows(kind, number):
                    yield self._version(kind, number)

    def _version(self, kind: Kind, number: int) -> Version:
        manifest = self._registry.manifest(kind, number)
        aliases = tuple(name for name, version in self._registry.aliases(kind).items() if version == number)
        return Version(
            kind=kind.value,
            version=number,
            stage=str(manifest.get("stage", "")),
            update=int(manifest.get("update", 0)),
            world_version=int(manifest.get("world_version", 0)),
            aliases=aliases,
        )

    def _telemetry(self, ledger: Ledger) -> Iterator[Event]:
        """The learner's own words; without Redis the registry tells the stage at least."""
        for entry_id, fields in self._board.tail(telemetry.STREAM, self._after):
            self._after, self._heard = entry_id, time.monotonic()
            said = telemetry.parse(fields)
            if said is None:
                continue
            yield from _stage(ledger, said.stage)
            self.learner = said
            self._said.append(said)
            if self._learner_due():
                yield digest(self._said)
                self._said.clear()
        marks = self.landmarks()
        yield from _stage(ledger, "done" if marks.final else "joint" if marks.stage2 else STAGES[0])

    def _replaced_workers(self) -> Iterator[Process]:
        """Learner workers that Ray Train has started anew: another process announces itself under the name."""
        for each in self.redis.latest or ():
            if each.role != "learner" or (new := each.fields.get("pid", "0")) == (old := self.workers.get(each.name)):
                continue
            self.workers[each.name], self._heard = new, time.monotonic()
            if old is not None:
                self.worker_restarts += 1
                yield Process(name=each.name, what="died", pid=int(old), detail="or ended with its group")
                yield Process(name=each.name, what="restarted", pid=int(new))


def _stage(ledger: Ledger, stage: str) -> Iterator[Stage]:
    """A stage is entered once: a learner that goes back to its checkpoint is still in the later one's books."""
    if STAGES.index(stage) > STAGES.index(ledger.stage):
        yield Stage(stage=stage)


def _presence(board: Coordination) -> list[Presence]:
    found = board.presence()
    if found is None:
        raise Unavailable("Redis does not answer")
    return found


def _replay_event(info: Any) -> Replay:
    tables = {
        table.name: Table(
            episodes=table.episodes,
            steps=table.steps,
            items=table.items,
            inserted=table.inserted_items,
            sampled=table.sampled_items,
            insert_wait_s=table.insert_wait_s,
            sample_wait_s=table.sample_wait_s,
            labelled=table.labelled,
        )
        for table in info.tables
        if table.inserted_items
    }
    return Replay(tables=tables, disk_bytes=info.disk_bytes, annotation_version=info.annotation_version)
