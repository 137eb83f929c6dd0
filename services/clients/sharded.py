"""Many replay shards as one: what robots, actors and learners hold where the directory names more than one.

An episode belongs to the shard that rendezvous hashing names for its id, and lies there as a whole. Each shard has its
own spool, so one that is away holds up nobody else's episodes, and gets its own when it is back. An episode that has
begun on a shard ends there, whatever shards come meanwhile; those that lie somewhere else than a larger directory says
are found by asking.

The directory is followed through the notice board. What was known stays known: a shard that is not in it is away, not
gone. A server that claims a shard's name with other data than it had is not believed.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

import numpy as np

from ramp.errors import Invalid, NotFound, RampError, Timeout, Unavailable
from ramp.replay.info import AnnotateResult, EpisodeInfo, ReplayInfo
from ramp.replay.together import Together, raise_first
from ramp.replay.totals import merged_episodes, total_info, total_result
from ramp.types import EpisodeHeader, SampleSpec
from services.clients.rendezvous import home, ranking
from services.clients.replay import CALL_TIMEOUT_S, ReplayClient, Writer
from services.clients.sharded_stream import ShardedStream
from services.common.coordination import Coordination
from services.common.directory import Shard, in_words

logger = logging.getLogger(__name__)

LOOK_S = 1.0  # between looks at the directory
AWAY_S = 1.0  # for an answer of a shard that gave none the last time

Answer = TypeVar("Answer")
Values = tuple[str, np.ndarray, np.ndarray]
"""Episode, steps with frames int [F], remaining time float [F]."""


class ShardedClient(Together[ReplayClient]):
    """One producer or learner of many shards. Implements ramp.interfaces.Replay, with ReplayClient's methods."""

    def __init__(
        self, shards: Mapping[str, Shard], reach: Callable[[Shard], ReplayClient], board: Coordination | None = None
    ) -> None:
        """`reach` makes the client of one shard. Without a `board` the directory stays as it is."""
        self._reach, self._board = reach, board
        self._known = dict(shards)
        self._clients = _reached(shards, reach)
        self._elsewhere: dict[str, str] = {}  # episode -> shard, where that is not its home by the present directory
        self._last: dict[str, ReplayInfo] = {}
        self._away: set[str] = set()
        self._strangers: set[Shard] = set()
        self._streams: weakref.WeakSet[ShardedStream] = weakref.WeakSet()
        self._lock = threading.Lock()  # the directory changes under it
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="directory", daemon=True)
        if board is not None:
            self._watcher.start()

    def parts(self) -> Mapping[str, ReplayClient]:
        return self._clients  # replaced as a whole, never changed

    def likely(self, episode_id: str) -> Sequence[str]:
        """Where it was seen, then by rendezvous."""
        ranked = ranking(episode_id, self._clients)
        return sorted(ranked, key=lambda name: name != self._elsewhere.get(episode_id))

    @property
    def address(self) -> str:
        """The directory in words."""
        return in_words(self._known.values())

    # ---------------------------------------------------------------------------------------- appending

    def open(self, header: EpisodeHeader) -> Writer:
        """Begin an episode on its shard. Raises as ReplayClient.open; a spool's bound is that of each shard."""
        return self._clients[home(header.episode_id, self._clients)].open(header)

    def flush(self, timeout: float) -> bool:
        """Wait until everything handed over was acknowledged or refused; False where `timeout` s did not suffice."""
        until = time.monotonic() + timeout
        waited = [client.flush(max(0.0, until - time.monotonic())) for client in self._clients.values()]
        return all(waited)

    @property
    def pending_bytes(self) -> int:
        """What waits in the spools."""
        return sum(client.pending_bytes for client in self._clients.values())

    # ----------------------------------------------------------------------------------------- sampling

    def sample(self, spec: SampleSpec, *, timeout: float) -> ShardedStream:
        """An endless stream of batches, each of one shard; raises as ReplayClient's. The rate limiter is each shard's
        own; a shard that is held back or away is left out meanwhile."""
        with self._lock:
            stream = ShardedStream(self._clients, spec, timeout=timeout)
            self._streams.add(stream)
        return stream

    def update_priorities(
        self, table: str, episode_ids: Sequence[str], steps: Sequence[int], priorities: Sequence[float] | np.ndarray
    ) -> int:
        """How many items got a new priority: all of a shard's or none of them.

        Raises NotFound, Invalid, Unavailable; the other shards' items are updated then. Asking again is right.
        """
        if not len(episode_ids) == len(steps) == len(priorities):
            lengths = (len(episode_ids), len(steps), len(priorities))
            raise Invalid("priority", f"lists of {lengths}", "send three lists of one length")
        rows = list(zip(episode_ids, steps, priorities, strict=True))

        def update(name: str, client: ReplayClient) -> int:
            chosen = [row for row in rows if self._home(row[0]) == name]
            return client.update_priorities(table, *map(list, zip(*chosen, strict=True))) if chosen else 0

        return sum(self._sent_home(update).values())

    # ------------------------------------------------------------------------------------ labels, queries

    def annotate(self, world_version: int, values: Iterable[Values], *, extends: bool) -> AnnotateResult:
        """Label episodes, as ReplayClient.annotate: every shard commits a generation of this version, with the values
        of its own episodes or with none. It takes the indicator's thresholds over its own episodes.

        A shard's labels become visible together, the shards' within moments of each other. One that is away is tried
        again for two minutes. Where that does not suffice, Unavailable names it: it keeps its old generation whole,
        the others have the new one, and `info().annotation_version` stays at the lowest until all have it. The same
        call again mends that. A shard that refuses its values (Invalid, NotFound) keeps its old generation, too.
        """
        labels = list(values)

        def commit(name: str, client: ReplayClient) -> AnnotateResult:
            own = [each for each in labels if self._home(each[0]) == name]
            return client.annotate(world_version, own, extends=extends)

        return total_result(self._sent_home(commit).values())

    def query(
        self, table: str = "", unlabelled_by: int = 0, limit: int = 0, timeout: float = CALL_TIMEOUT_S
    ) -> list[EpisodeInfo]:
        """Ended episodes of all shards, oldest first by the shards' clocks. Raises NotFound for a table that no shard
        has, Unavailable where a shard does not answer: half a list would look like a loss."""
        answers = self.wherever(lambda _, client: client.query(table, unlabelled_by, limit, timeout))
        self._learn(answers)
        return merged_episodes(answers.values(), limit)

    def infos(self, timeout: float = CALL_TIMEOUT_S) -> dict[str, ReplayInfo | None]:
        """What each shard tells of itself; None of one that does not answer within `timeout` seconds."""
        return self._infos(dict.fromkeys(self._clients, timeout))

    def _infos(self, timeouts: Mapping[str, float]) -> dict[str, ReplayInfo | None]:
        answers, errors = self.attempt(lambda name, client: client.info(timeouts.get(name, AWAY_S)))
        raise_first({name: error for name, error in errors.items() if not isinstance(error, Unavailable | Timeout)})
        self._last |= answers
        self._away = set(errors)
        return {name: answers.get(name) for name in (*answers, *errors)}

    def info(self, timeout: float = CALL_TIMEOUT_S) -> ReplayInfo:
        """All shards together. One that is away counts with what it said last: nothing changes there meanwhile; it is
        waited for once only. Raises Unavailable where a shard has never answered."""
        self._infos({name: timeout for name in self._clients if name not in self._away or name not in self._last})
        return self.total()

    def total(self) -> ReplayInfo:
        """What the shards said when they were asked last. Raises Unavailable where one has never answered."""
        unknown = [name for name in self._clients if name not in self._last]
        if unknown:
            raise Unavailable(f"{', '.join(unknown)}: no answer yet")
        return total_info([self._last[name] for name in self._clients])

    # ---------------------------------------------------------------------------------------- directory

    def _home(self, episode_id: str) -> str:
        return self._elsewhere.get(episode_id) or home(episode_id, self._clients)

    def _sent_home(self, ask: Callable[[str, ReplayClient], Answer]) -> dict[str, Answer]:
        """Every shard's answer to what is sent to each episode's home. A shard that does not know an episode may be the
        wrong one: then all are asked what they hold, and it is sent once more if that told anything new."""
        try:
            return self.all_of(ask)
        except NotFound:
            before = dict(self._elsewhere)
            self.query()
            if self._elsewhere == before:
                raise
        return self.all_of(ask)

    def _learn(self, answers: Mapping[str, Sequence[EpisodeInfo]]) -> None:
        """Note the episodes that lie elsewhere than rendezvous hashing says: they are older than a shard."""
        for name, infos in answers.items():
            strays = (info.episode_id for info in infos if home(info.episode_id, self._clients) != name)
            self._elsewhere.update(dict.fromkeys(strays, name))

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Follow the directory, if it can be read now: a new address, a new shard. Called every LOOK_S seconds."""
        found = self._board.shards() if self._board else None
        for name, shard in (found or {}).items():
            known = self._known.get(name)
            if known is not None and known.data not in ("", shard.data):
                self._refuse(shard)
            elif known is None:
                self._join(shard)
            else:
                self._known[name] = shard
                if shard.address != known.address:
                    logger.warning("%s is at %s now", name, shard.address)
                    self._clients[name].move(shard.address)

    def _join(self, shard: Shard) -> None:
        logger.warning("%s at %s takes part from now on", shard.name, shard.address)
        try:
            client = self._reach(shard)
        except (RampError, OSError) as error:  # its spool is another process's, or cannot be made
            logger.error("%s cannot be reached: %s", shard.name, error)
            return
        with self._lock:
            self._known[shard.name] = shard
            self._clients = {**self._clients, shard.name: client}
            self._elsewhere.clear()  # homes have changed
            for stream in self._streams:
                stream.add(shard.name, client)

    def _refuse(self, shard: Shard) -> None:
        if shard not in self._strangers:
            logger.error(
                "%s at %s has other data than the %s that was known: it gets nothing; give it a name of its own",
                shard.name,
                shard.address,
                shard.name,
            )
        self._strangers.add(shard)

    # -------------------------------------------------------------------------------------------- life

    def wait_ready(self, timeout: float) -> None:
        """Raises Unavailable unless all servers answer within `timeout` s."""
        self.all_of(lambda _, client: client.wait_ready(timeout))

    def close(self) -> None:
        """Stop the threads. What was not acknowledged stays in the spools, for the next client of their directory."""
        self._closed.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for stream in list(self._streams):
            stream.close()
        for client in self._clients.values():
            client.close()

    def __enter__(self) -> ShardedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _reached(shards: Mapping[str, Shard], reach: Callable[[Shard], ReplayClient]) -> dict[str, ReplayClient]:
    """A client of each, or none."""
    found = {}
    with ExitStack() as opened:
        for name, shard in shards.items():
            found[name] = opened.enter_context(reach(shard))
        opened.pop_all()
    return found
