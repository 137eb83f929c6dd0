"""A shard's life in random acts, told to a tape: what was asked, what was answered, and kills in between."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ramp.errors import NotFound
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome
from tests.chaos.promises import Act, Promises
from tests.chaos.tape import Killed, Tape
from tests.experience import frame_steps, make_header, make_steps

BATCH = 6  # steps
CONFIG = ShardConfig(segment_bytes=20_000)  # a few episodes each


def mark_of(name: str) -> int:
    """What is in every pixel of an episode."""
    return int(name[1:]) % 251


def header_of(name: str):
    return make_header(name, seed=mark_of(name))


def steps_of(name: str, number: int):
    return make_steps(BATCH * number, BATCH * (number + 1), mark=mark_of(name))


class Story:
    """`tell` so many acts; the tape has them. Anything that a shard refuses here is a bug of the story."""

    def __init__(self, tape: Tape, seed: int) -> None:
        self._tape, self._draw = tape, random.Random(seed)
        self._promises = Promises()
        self._version = self._names = self._snapshots = self._views = 0
        self._shard = Shard(tape.root / "shard", CONFIG)

    def tell(self, acts: int) -> None:
        choices: list[tuple[Callable[[], tuple[Act, Callable[[], object]] | None], int]] = [
            (self._batches, 12),
            (self._end, 8),
            (self._abort, 1),
            (self._delete, 2),
            (self._keep, 2),
            (self._annotate, 2),
            (self._extend, 2),
            (self._snapshot, 1),
            (self._drop, 1),
            (self._view, 2),
            (self._drop_view, 1),
            (self._scrub, 1),
            (self._checkpoint, 1),
            (self._restart, 1),
        ]
        kinds, weights = zip(*choices, strict=True)
        for _ in range(acts):
            chosen = self._draw.choices(kinds, weights)[0]()
            if chosen is not None:
                self._tape.fuse = self._draw.randrange(4) if self._draw.random() < 0.1 else -1
                self._ask(*chosen)
        self._tape.fuse = -1
        self._shard.close()

    def _ask(self, act: Act, call: Callable[[], object]) -> None:
        self._tape.say(("ask", act))
        try:
            call()
        except Killed:
            self._tape.fuse = -1
            self._come_back()
            found = seen(self._shard, self._promises, act)
        else:
            found = act
        for each in (found,) if found else ():
            self._tape.say(("done", each))
            self._promises.keep(each)

    def _come_back(self) -> None:
        """As after kill -9, which may have come in the middle of a start: what a process held is gone, what it wrote
        is there."""
        for held in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # of the listing itself
                if held.readlink() == self._tape.root / "shard" / "LOCK":
                    os.close(int(held.name))
        self._shard = Shard(self._tape.root / "shard", CONFIG)

    # ------------------------------------------------------------------------------------------- acts

    def _batches(self) -> tuple[Act, Callable[[], object]]:
        """Of several episodes, new ones too, in one group with one fsync."""
        names = self._draw.sample(self._promises.open, min(len(self._promises.open), self._draw.randrange(3)))
        if len(names) < 2:
            self._names += 1
            names.append(f"e{self._names}")
        counts = dict(self._promises.batches)
        plan = []
        for name in names + [name for name in names if self._draw.random() < 0.5]:
            plan.append((name, counts.get(name, 0)))
            counts[name] = counts.get(name, 0) + 1

        def call() -> None:
            written = []
            for name, number in plan:
                if number == 0:
                    written.append(self._shard.write_begin(header_of(name)))
                written.append(self._shard.write_batch(name, number, steps_of(name, number)))
            self._shard.synced(*written)

        return Act("batches", tuple((name, counts[name]) for name in names)), call

    def _end(self) -> tuple[Act, Callable[[], object]] | None:
        if not self._promises.open:
            return None
        name = self._draw.choice(self._promises.open)
        return Act("end", name), lambda: self._shard.end(name, Outcome.SUCCESS, self._promises.batches[name])

    def _abort(self) -> tuple[Act, Callable[[], object]] | None:
        if not self._promises.open:
            return None
        name = self._draw.choice(self._promises.open)
        return Act("abort", name), lambda: self._shard.abort(name)

    def _delete(self) -> tuple[Act, Callable[[], object]] | None:
        alive = self._promises.alive
        if len(alive) < 3:
            return None
        names = tuple(self._draw.sample(alive, self._draw.randint(1, 3)))
        return Act("delete", names), lambda: self._shard.delete(names, "a test")

    def _keep(self) -> tuple[Act, Callable[[], object]]:
        return Act("keep"), self._shard.keep

    def _annotate(self) -> tuple[Act, Callable[[], object]]:
        self._version += 1
        return self._label(self._version, extends=False)

    def _extend(self) -> tuple[Act, Callable[[], object]] | None:
        version = self._promises.labels[0]
        return self._label(version, extends=True) if version else None

    def _label(self, version: int, *, extends: bool) -> tuple[Act, Callable[[], object]]:
        alive = self._promises.alive
        names = tuple(self._draw.sample(alive, min(len(alive), 4)))
        values = {name: values_of(name, version, BATCH * self._promises.batches[name]) for name in names}
        call = lambda: self._shard.annotate(version, values, extends=extends)  # noqa: E731
        return Act("annotate", (version, names, extends)), call

    def _snapshot(self) -> tuple[Act, Callable[[], object]]:
        self._snapshots += 1
        name = f"s{self._snapshots}"
        return Act("snapshot", name), lambda: self._shard.snapshot(name)

    def _drop(self) -> tuple[Act, Callable[[], object]] | None:
        if not self._promises.snapshots:
            return None
        name = self._draw.choice(sorted(self._promises.snapshots))
        return Act("drop", name), lambda: self._shard.drop_snapshot(name)

    def _view(self) -> tuple[Act, Callable[[], object]] | None:
        alive = self._promises.alive
        if not alive:
            return None
        self._views += 1
        name, ids = f"v{self._views}", tuple(self._draw.sample(alive, min(len(alive), 3)))
        return Act("view", (name, ids)), lambda: self._shard.view(name, ids)

    def _drop_view(self) -> tuple[Act, Callable[[], object]] | None:
        if not self._promises.views:
            return None
        name = self._draw.choice(sorted(self._promises.views))
        return Act("drop_view", name), lambda: self._shard.drop_view(name)

    def _scrub(self) -> tuple[Act, Callable[[], object]]:
        return Act("scrub"), lambda: self._shard.scrub(2**20)

    def _checkpoint(self) -> tuple[Act, Callable[[], object]]:
        return Act("checkpoint"), self._shard.checkpoint

    def _restart(self) -> tuple[Act, Callable[[], object]]:
        def call() -> None:
            self._shard.close()
            self._shard = Shard(self._tape.root / "shard", CONFIG)

        return Act("restart"), call


def values_of(name: str, version: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """An episode's values as a world model of that version gives them."""
    steps = frame_steps(length)
    return steps, (steps + 1000 * version + mark_of(name)).astype(np.float32)


def seen(shard: Shard, promises: Promises, act: Act) -> Act | None:
    """What a shard that was killed in mid-act serves of it afterwards: from then on, that counts."""
    kind, what = act
    if kind == "batches":
        there = tuple((name, progress(shard, name)) for name, _ in what if is_known(shard, name))
        return Act("batches", there)
    if kind == "end":
        return act if what in {info.episode_id for info in shard.query()} else None
    if kind == "abort":
        return act if not is_open(shard, what) else None
    if kind == "delete":
        alive = {info.episode_id for info in shard.query()}
        return Act("delete", tuple(name for name in what if name not in alive))
    if kind == "annotate":
        return act if labels(shard) == promises.with_(act).labels else None
    if kind in ("snapshot", "drop"):
        there = what in {each.name for each in shard.snapshots()}
        return act if there == (kind == "snapshot") else None
    if kind in ("view", "drop_view"):
        there = (what[0] if kind == "view" else what) in {each.name for each in shard.views()}
        return act if there == (kind == "view") else None
    return act


def labels(shard: Shard) -> tuple[int, frozenset[str]]:
    """Version and episodes of the current generation, deleted ones too."""
    return shard._annotations.version, frozenset(shard._annotations.values)


def is_known(shard: Shard, name: str) -> bool:
    try:
        shard.header(name)
    except NotFound:
        return False
    return True


def is_open(shard: Shard, name: str) -> bool:
    return str(shard._store.entry(name).state) == "open"


def progress(shard: Shard, name: str) -> int:
    return len(shard._store.entry(name).positions)


def shard_of(folder: Path) -> Shard:
    return Shard(folder, CONFIG)
