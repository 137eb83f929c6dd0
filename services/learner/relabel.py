"""Relabelling: a new world model's values for every episode, in slices between updates.

    query -> fetch (ahead, in threads) -> predict about FRAMES frames per slice -> annotate -> commit

A new world-model version labels everything anew; until the server commits, batches carry the old labels. Episodes that
arrive later are added to the same generation (`extends`). A pass that has begun ends before that of a newer version
begins: were it broken off, versions that come faster than a pass takes would leave the labels behind for good. There is
no state to save: the server knows what is labelled.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from ramp.data.normalize import Normalizer
from ramp.errors import Corrupt, NotFound, RampError
from ramp.replay.info import EpisodeInfo
from ramp.types import Episode
from services.clients.connect import AnyClient
from services.common import metrics
from services.learner.foresight import Foresight, joined
from services.learner.newcomers import Newcomers
from services.learner.published import PublishedWorld

LOG = logging.getLogger(__name__)

FRAMES = 64  # predicted in one slice, of as many episodes as it takes
AHEAD = 6  # episodes fetched ahead: more than a slice takes
PAUSE_S = 3.0  # between looks for new episodes, and after a failure

Labels = tuple[str, np.ndarray, np.ndarray]  # episode, steps int32 [F], remaining float32 [F]


class Relabeller:
    """Worker 0's. `slice()` costs a small prediction at most; `work()` labels and waits for a given time."""

    def __init__(self, replay: AnyClient, normalizer: Normalizer, newcomers: Newcomers | None = None) -> None:
        """`newcomers` is told of the episodes that a pass finds."""
        self._replay, self._normalizer, self._newcomers = replay, normalizer, newcomers
        self._world: PublishedWorld | None = None
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="relabel")
        self._pass: Iterator[Future[Any] | None] | None = None
        self._labelling: PublishedWorld | None = None  # by the pass under way
        self._due = 0.0
        self._unsliced = 0  # frames predicted since the last slice ended
        self._passed_over: set[str] = set()  # episodes that replay cannot give

    def use(self, world: PublishedWorld) -> None:
        """Label with this version as soon as the pass under way has ended."""
        self._world, self._due = world, 0.0

    def slice(self) -> None:
        """Get on a little; never waits."""
        if self._pass is None:
            if self._world is None or time.monotonic() < self._due:
                return
            self._begin(self._world)
        if self._pass is not None:
            self._advance(self._pass)

    def work(self, seconds: float) -> bool:
        """Get on for about so long, waiting for replay where need be; whether a whole pass has ended well. If not, call
        again."""
        if self._world is None:
            return True
        until = time.monotonic() + seconds
        if self._pass is None:
            time.sleep(max(0.0, min(self._due, until) - time.monotonic()))  # the pause after a failure
            if time.monotonic() < self._due:
                return False
            self._begin(self._world)
        while self._pass is not None and (left := until - time.monotonic()) > 0:
            waited = self._advance(self._pass)
            if waited is not None:
                wait([waited], timeout=left)
        return self._pass is None and self._failed is None and self._labelling is self._world

    def _begin(self, world: PublishedWorld) -> None:
        self._labelling, self._pass = world, self._run(world)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    _failed: RampError | None = None

    def _advance(self, current: Iterator[Future[Any] | None]) -> Future[Any] | None:
        """One step of a pass; the future that it waits for, if it does."""
        try:
            return next(current)
        except StopIteration:
            self._failed = None
        except RampError as error:
            LOG.warning("relabelling is tried again later: %s", error)
            metrics.LEARNER_RELABEL_FAILURES.inc()
            self._failed = error
        metrics.idle("relabel")
        newer = self._labelling is not self._world
        self._pass, self._due = None, 0.0 if newer else time.monotonic() + PAUSE_S
        return None

    def _run(self, world: PublishedWorld) -> Iterator[Future[Any] | None]:
        """One pass; yields after about FRAMES predicted frames, and the future while it waits for the server."""
        info = self._pool.submit(self._replay.info)
        yield from _until(info)
        extends = info.result().annotation_version == world.version
        wanted = self._pool.submit(self._replay.query, unlabelled_by=world.version if extends else 0)
        yield from _until(wanted)
        if self._newcomers is not None:
            self._newcomers.heard(wanted.result())
        labels: list[Labels] = []
        for name, pending in self._fetched(wanted.result()):
            yield from _until(pending)
            episode = self._received(name, pending)
            if episode is not None:
                yield from self._predict(world, episode, labels, new=extends)
        if labels:
            commit = self._pool.submit(self._replay.annotate, world.version, labels, extends=extends)
            yield from _until(commit)
            result = commit.result()
            metrics.LEARNER_RELABELLED.inc(len(labels))
            if not extends:
                LOG.info("world model %d labelled %d episodes: %s", world.version, len(labels), result)

    def _fetched(self, episodes: Sequence[EpisodeInfo]) -> Iterator[tuple[str, Future[Episode]]]:
        """Episodes in order, a few of them fetched ahead."""
        ahead: deque[tuple[str, Future[Episode]]] = deque()
        for name in [info.episode_id for info in episodes if info.episode_id not in self._passed_over]:
            ahead.append((name, self._pool.submit(self._replay.fetch, name)))
            if len(ahead) > AHEAD:
                yield ahead.popleft()
        yield from ahead

    def _received(self, name: str, fetched: Future[Episode]) -> Episode | None:
        """None for an episode that is damaged or gone: it stays without labels, and all others get theirs."""
        try:
            return fetched.result()
        except (Corrupt, NotFound) as error:
            LOG.error("episode %s is not labelled: %s", name, error)
            self._passed_over.add(name)
            return None

    def _predict(self, world: PublishedWorld, episode: Episode, labels: list[Labels], *, new: bool) -> Iterator[None]:
        """`new`: the episode came after this version had been published."""
        rows = episode.steps.frame_row
        parts: list[Foresight] = []
        for start in range(0, len(rows), FRAMES):
            parts.append(world.foresee(episode, slice(start, start + FRAMES), self._normalizer, seed=start))
            metrics.progress("relabel")
            self._unsliced += len(parts[-1].remaining)
            if self._unsliced >= FRAMES:
                self._unsliced = 0
                yield None
        steps = episode.steps.step[rows].astype(np.int32)
        found = joined(parts)
        labels.append((episode.header.episode_id, steps, found.remaining))
        if new and self._newcomers is not None:
            self._newcomers.judge(episode, steps, found)


def _until(future: Future[Any]) -> Iterator[Future[Any]]:
    while not future.done():
        yield future
