"""One stream of batches over many shards.

consumes      a SampleStream of each shard, by a thread of its own
produces      batches of one shard each, in proportion to the items that the shards' tables hold
waits for     the shard whose turn it is, for PATIENCE_S; after that for any
unblocked by  a batch, the learner's timeout, close()

A shard that is late or away is left out until it delivers again; a part of what it missed is made up for.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ramp.errors import NotFound, RampError, Timeout, Unavailable
from ramp.types import Batch, SampleSpec
from services.clients.replay import ReplayClient
from services.clients.sampling import SampleStream
from services.clients.shares import Shares

logger = logging.getLogger(__name__)

PATIENCE_S = 0.25  # for the shard whose turn it is, while others have a batch
WEIGH_S = 2.0  # between questions how much a shard holds; also the longest wait for one of its batches
ANSWER_S = 1.0  # for the answer to that; a shard that does not give it is away
CLOSING_S = 5.0


class ShardedStream:
    """An endless iterator of batches. The order within a shard is the one asked for; which shard is drawn from follows
    the number of its items, whatever the order. `probability` is that of the item among all shards that are there.

    `next` raises as SampleStream's.
    """

    def __init__(self, shards: Mapping[str, ReplayClient], spec: SampleSpec, *, timeout: float) -> None:
        self._desk, self._timeout = _Desk(spec.table), timeout
        self._spec, self._pumps = spec, dict[str, _Pump]()
        self._finish = weakref.finalize(self, _close, self._desk, self._pumps)
        for name, client in shards.items():
            self.add(name, client)

    def add(self, name: str, client: ReplayClient) -> None:
        """Draw from one more shard from now on."""
        self._desk.expect(name)
        self._pumps[name] = _Pump(name, client, self._spec, self._desk)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return self._desk.take(self._timeout)

    def close(self) -> None:
        """End the threads and their calls; what was read ahead is dropped."""
        self._finish()


class _Desk:
    """Where the shards' threads lay down a batch each, and the learner takes one. Does not know its stream, so that a
    dropped one ends its threads."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._changed = threading.Condition()
        self._batches: dict[str, Batch] = {}
        self._shares = Shares()
        self._new: set[str] = set()  # shards that have not said yet what they hold
        self._late: set[str] = set()  # were waited for in vain, and have not delivered since
        self._absent: dict[str, NotFound] = {}  # shards that do not have the table: a view has episodes on some only
        self._expected: set[str] = set()
        self._error: RampError | None = None

    def expect(self, name: str) -> None:
        with self._changed:
            self._new.add(name)
            self._expected.add(name)

    def weigh(self, name: str, items: int) -> None:
        """How much a shard holds; 0 where it is away."""
        with self._changed:
            self._new.discard(name)
            self._shares.set(name, max(items, name in self._batches))
            self._changed.notify_all()

    def put(self, name: str, batch: Batch) -> None:
        """Lay down a batch, once the one before is taken."""
        with self._changed:
            self._changed.wait_for(lambda: self._error is not None or name not in self._batches)
            self._batches[name] = batch
            self._late.discard(name)
            if name not in self._shares.members:
                self._shares.set(name, 1)  # until it is asked again
            self._changed.notify_all()

    def lack(self, name: str, error: NotFound) -> None:
        """A shard does not have the table; where none has, every `take` raises this."""
        with self._changed:
            self._absent[name] = error
            self._new.discard(name)
            self._shares.set(name, 0)
            if self._absent.keys() >= self._expected:
                self._error = self._error or error
            self._changed.notify_all()

    def fail(self, error: RampError) -> None:
        """Every `take` raises this from now on."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    @property
    def failed(self) -> bool:
        return self._error is not None

    def take(self, timeout: float) -> Batch:
        with self._changed:
            name = self._await_choice(timeout)
            batch, share = self._batches.pop(name), self._shares.of(name)
            self._shares.drew(name)
            self._changed.notify_all()
        return batch if share == 1.0 else replace(batch, probability=batch.probability * share)

    def _await_choice(self, timeout: float) -> str:
        began, patience = time.monotonic(), min(PATIENCE_S, timeout / 2)
        while True:
            waited = time.monotonic() - began
            if (name := self._chosen(patient=waited < patience)) is not None:
                return name
            if waited >= timeout:
                raise Timeout(f"no batch of table {self._table} within {timeout:g} s from any shard")
            self._changed.wait((patience if waited < patience else timeout) - waited)

    def _chosen(self, *, patient: bool) -> str | None:
        """The shard to take from now; None: wait on."""
        if self._error is not None:
            raise self._error
        in_time = self._shares.members - self._late
        if patient and (self._new or in_time):
            due = None if self._new else self._shares.turn(in_time)
            return due if due in self._batches else None
        ready = self._shares.turn(self._batches)
        if ready is not None:
            self._late |= in_time - self._batches.keys()
        return ready


class _Pump:
    """The thread that carries one shard's batches to the desk."""

    def __init__(self, name: str, client: ReplayClient, spec: SampleSpec, desk: _Desk) -> None:
        self._name, self._client, self._spec, self._desk = name, client, spec, desk
        self._stream: SampleStream | None = None
        self._weigh_at, self._away = 0.0, False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"sample-{spec.table}-{name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The desk has failed already: nothing new is begun."""
        with self._lock:
            stream = self._stream
        if stream is not None:
            stream.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSING_S)

    def _run(self) -> None:
        stream = self._opened()
        while stream is not None and not self._desk.failed:
            self._weigh()
            try:
                self._desk.put(self._name, next(stream))
            except Timeout:
                continue
            except Unavailable:  # it was closed, because the shard is found elsewhere now
                stream = self._opened()
            except NotFound as error:
                self._desk.lack(self._name, error)
                return
            except RampError as error:
                self._desk.fail(error)

    def _opened(self) -> SampleStream | None:
        with self._lock:
            if not self._desk.failed:
                self._stream = self._client.sample(self._spec, timeout=WEIGH_S)
            return self._stream

    def _weigh(self) -> None:
        if time.monotonic() < self._weigh_at:
            return
        try:
            table = self._client.info(ANSWER_S).table(self._spec.table)
            self._note(away=False)
            self._desk.weigh(self._name, table.items if table else 0)
        except RampError:  # what the stream says of it is for the learner to know
            self._note(away=True)
            self._desk.weigh(self._name, 0)
        self._weigh_at = time.monotonic() + (0.0 if self._away else WEIGH_S)

    def _note(self, *, away: bool) -> None:
        if away != self._away:
            logger.warning("%s is %s", self._name, "away and left out" if away else "back")
        self._away = away


def _close(desk: _Desk, pumps: Mapping[str, _Pump]) -> None:
    desk.fail(Unavailable("the stream was closed"))
    for pump in pumps.values():
        pump.close()
