"""Random operations on a shard beside a plain model of its contract: `python -m tests.chaos operations --count 20000`.

Hypothesis chooses the operations; each does the same to both and compares the answers. Where they disagree it finds a
shorter way there and prints it as a program.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from ramp.advantage.config import AdvantageConfig
from ramp.errors import Invalid, NotFound, RampError, Timeout
from ramp.replay import table
from ramp.replay.info import Limits
from ramp.replay.limiter import Limiter
from ramp.replay.retention import RetentionConfig
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.table import TableConfig
from ramp.types import Batch, EpisodeHeader, Order, Outcome, SampleSpec, Source, StepBatch
from tests.chaos.far import Far
from tests.chaos.model import CHUNK, HORIZONS, SCHEMA, Model, TableModel, picture, window
from tests.chaos.progress import Row
from tests.experience import make_steps

CONFIG = ShardConfig(
    tables={
        "plain": TableConfig(),
        "ranked": TableConfig(human_priority=4.0),
        "queue": TableConfig(max_times_sampled=2),
        "limited": TableConfig(limiter=Limiter.Config(min_size=3, samples_per_insert=2.0, slack=12.0)),
    },
    advantage=AdvantageConfig(n_steps=4),
    retention=RetentionConfig(tables=("ranked",), max_episodes=4),
    limits=Limits(max_steps_per_batch=16, max_episode_steps=64),
    segment_bytes=12_000,
)
TABLES = tuple(CONFIG.tables)
VIEWS = ("seen", "seen-too")
GOES_TO = (("plain",), ("ranked",), ("plain", "queue"), ("limited",), ("queue", "ranked"), TABLES)
COUNT = 1_000_000
PIECE = 20_000
STEPS = 250  # operations on one shard
MEMORY_DISK = Path("/dev/shm")  # fsync costs nothing there

NO_TABLE = TableModel(TableConfig())
small = st.integers(0, 15)
order_of = st.sampled_from(list(Order))


def made_header(number: int, kind: int) -> EpisodeHeader:
    return EpisodeHeader(
        episode_id=f"e{number}",
        task=f"task-{kind % 2}",
        instruction=f"do {kind}",
        robot="arm",
        seed=kind,
        max_steps=32,
        tables=GOES_TO[kind % len(GOES_TO)],
        schema=SCHEMA,
    )


def made_steps(begin: int, length: int, kind: int) -> StepBatch:
    """`kind` decides who acts, which steps are trainable and which carry frames; no two kinds have equal bytes."""
    steps = make_steps(begin, begin + length, schema=SCHEMA, stride=(1, 2, 3, 5)[kind % 4], mark=kind)
    if kind % 3 == 1:
        steps.source[length // 3 :] = Source.HUMAN
    if kind % 5 == 4:
        steps.source[:] = Source.DEMO
    steps.trainable[::3] = kind % 2 == 0
    steps.policy_version[:] = kind
    if kind < 13:
        return steps
    return replace(steps, frame_row=steps.frame_row[:0], images={"eye": steps.images["eye"][:0]})


def _outcome(operation: Callable[[], Any]) -> tuple[Any, RampError | None]:
    """Its answer, or its refusal."""
    try:
        return operation(), None
    except RampError as error:
        return None, error


class Operations(RuleBasedStateMachine):
    """A shard and the model of it."""

    done = 0  # operations in this process
    door: type[Shard] | type[Far] = Shard

    def __init__(self) -> None:
        super().__init__()
        self._home = Path(tempfile.mkdtemp(prefix="operations-", dir=MEMORY_DISK if MEMORY_DISK.is_dir() else None))
        self._lives = 0
        self.shard: Any = self.door(self._place(), CONFIG)
        self.model = Model(CONFIG)
        self._random = np.random.default_rng(0)

    def _place(self) -> Path:
        return self._home / str(self._lives)

    def _agree(self, expected: Callable[[], Any], asked: Callable[[], Any]) -> Any:
        """Both do it: equal answers, or errors of one kind. The shard's answer; None after an error."""
        Operations.done += 1
        wanted, refused = _outcome(expected)
        if isinstance(refused, Timeout) and self.door is Far:
            return None  # the wire would wait
        found, refusal = _outcome(asked)
        assert type(refusal) is type(refused), f"{refusal or found!r}, not {refused or wanted!r}"
        assert found == wanted, f"{found!r}, not {wanted!r}"
        return found

    def _pick(self, which: int) -> str:
        """The id of one of the newest episodes, or one that never was."""
        return f"e{len(self.model.episodes) - which}"

    # ---------------------------------------------------------------------------------------- appending

    @rule(kind=small)
    def open(self, kind: int) -> None:
        header = made_header(len(self.model.episodes), kind)
        self._agree(lambda: self.model.begin(header), lambda: self.shard.begin(header))

    @rule(which=st.integers(1, 6), kind=small)
    def open_again(self, which: int, kind: int) -> None:
        told = self.model.episodes.get(self._pick(which))
        if told is not None and told.state != "aborted":
            header = told.header if kind % 2 else replace(told.header, seed=99)
            self._agree(lambda: self.model.begin(header), lambda: self.shard.begin(header))

    @rule(which=st.integers(1, 4), length=st.integers(1, 9), kind=small)
    def append(self, which: int, length: int, kind: int) -> None:
        told = self.model.episodes.get(self._pick(which))
        self._append(which, len(told.batches) if told else 0, made_steps(len(told) if told else 0, length, kind))

    @rule(which=st.integers(1, 4), back=st.integers(-1, 3), kind=small)
    def append_out_of_turn(self, which: int, back: int, kind: int) -> None:
        """A batch that came before, the same or another one, or one ahead of its turn."""
        told = self.model.episodes.get(self._pick(which))
        if told is None or told.state == "aborted" or not told.batches:
            return
        number = max(len(told.batches) - back, 0)
        old = told.batches[min(number, len(told.batches) - 1)]
        same = kind % 2 and number < len(told.batches)
        self._append(which, number, old if same else made_steps(int(old.step[0]), len(old), kind + 100))

    def _append(self, which: int, number: int, steps: StepBatch) -> None:
        name = self._pick(which)
        self._agree(lambda: self.model.append(name, number, steps), lambda: self.shard.append(name, number, steps))

    @rule(which=st.integers(0, 6), kind=small)
    def end(self, which: int, kind: int) -> None:
        name, outcome = self._pick(which), Outcome.FAILURE if kind % 3 == 0 else Outcome.SUCCESS
        told = self.model.episodes.get(name)
        batches = (len(told.batches) if told else 0) + (kind == 15)
        self._agree(
            lambda: self.model.end(name, outcome, batches), lambda: self.shard.end(name, outcome, batches, timeout=0.0)
        )

    @rule(which=st.integers(0, 6))
    def abort(self, which: int) -> None:
        name = self._pick(which)
        self._agree(lambda: self.model.abort(name), lambda: self.shard.abort(name) and None)

    # ----------------------------------------------------------------------------------------- sampling

    @rule(table=st.sampled_from((*TABLES, *VIEWS)), order=order_of, count=st.sampled_from((1, 2, 3, 5, 8, 25)))
    def sample(self, table: str, order: Order, count: int) -> None:
        spec = SampleSpec(table=table, batch_size=count, chunk=CHUNK, horizons=HORIZONS, order=order)
        drawn: list[Batch] = []

        def asked() -> dict[tuple[str, int], float]:
            drawn.append(self.shard.sample(spec, self._random, timeout=0.0)[0])
            return chances

        chances: dict[tuple[str, int], float] = {}
        with contextlib.suppress(RampError):
            chances = self.model.may_draw(table, order, count)
        self._agree(lambda: self.model.may_draw(table, order, count), asked)
        for batch in drawn:
            self._check_batch(batch, chances, order)
            self.model.table(table).draw(list(zip(batch.episode_id, batch.step.tolist(), strict=True)))

    def _check_batch(self, batch: Batch, chances: dict[tuple[str, int], float], order: Order) -> None:
        names = list(zip(batch.episode_id, batch.step.tolist(), strict=True))
        if order is Order.FIFO:
            assert names == list(chances)
        if order is Order.LIFO:
            assert names == list(chances)[::-1]
        for row, name in enumerate(names):
            assert name in chances, f"{name} cannot be drawn"
            assert math.isclose(batch.probability[row], chances[name], rel_tol=1e-9)
            self._check_row(batch, row, *name)

    def _check_row(self, batch: Batch, row: int, episode_id: str, step: int) -> None:
        told = self.model.episodes[episode_id]
        for name, wanted in window(told, step).items():
            column = getattr(batch, name)
            found = column["eye"][row] if name in ("images", "future_images") else column[row]
            assert np.array_equal(found, wanted), f"{name} of step {step} of {episode_id}: {found}, not {wanted}"
        header, label = told.header, self.model.label(episode_id, step)
        wanted_texts = (header.task, header.instruction, len(told), header.max_steps, told.outcome is Outcome.SUCCESS)
        assert (
            batch.task[row],
            batch.instruction[row],
            batch.length[row],
            batch.max_steps[row],
            batch.success[row],
        ) == wanted_texts
        assert batch.source[row] == told.column("source")[step]
        assert batch.policy_version[row] == told.column("policy_version")[step]
        assert batch.indicator[row] == label.indicator, f"step {step} of {episode_id}"
        assert batch.annotation_version[row] == label.version
        assert np.array_equal(batch.value[row], np.float32(label.value), equal_nan=True)
        assert np.allclose(batch.advantage[row], label.advantage, equal_nan=True, atol=1e-6)

    @rule(table=st.sampled_from((*TABLES, *VIEWS)), places=st.lists(small, min_size=1, max_size=3), priority=small)
    def update_priorities(self, table: str, places: list[int], priority: int) -> None:
        """15 is no priority, and sometimes an item is none."""
        known = (self.model.tables | self.model.viewed).get(table, NO_TABLE).items
        names = [known[place * 7 % len(known)].name for place in places] if known else [("e0", 0)]
        if places[0] == 15:
            names.append((names[0][0], 63))
        value = math.nan if priority == 15 else priority / 4
        self._agree(
            lambda: self.model.update_priorities(table, names, value),
            lambda: self.shard.update_priorities(table, *zip(*names, strict=True), np.full(len(names), value)),
        )

    @rule(table=st.sampled_from(("ranked", "queue")))
    def forbid_all(self, table: str) -> None:
        """Nothing can be drawn by priority any more."""
        names = [item.name for item in self.model.tables[table].items]
        if names:
            self._agree(
                lambda: self.model.update_priorities(table, names, 0.0),
                lambda: self.shard.update_priorities(table, *zip(*names, strict=True), np.zeros(len(names))),
            )

    # ------------------------------------------------------------------------------------------ labels

    @rule(picks=st.lists(small, min_size=1, max_size=5), version=st.integers(0, 3), kind=small)
    def annotate(self, picks: list[int], version: int, kind: int) -> None:
        """Numbers are of 1/64, so that sums are exact. 15: of an episode that has not ended."""
        ended = self.model.ended or ["e0"]
        chosen = [ended[-1 - pick % len(ended)] if pick < 15 else self._pick(0) for pick in picks]
        frames = {name: self.model.episodes[name].frames if name in self.model.episodes else [0] for name in chosen}
        values = {
            name: (np.array(steps, np.int32), ((np.array(steps) * 37 + kind * 5) % 64 / 64).astype(np.float32))
            for name, steps in frames.items()
        }
        self._agree(
            lambda: self._annotate_model(version, values, extends=kind % 2 == 1),
            lambda: self._told(self.shard.annotate(version, values, extends=kind % 2 == 1)),
        )

    def _annotate_model(self, version: int, values: dict[str, Any], *, extends: bool) -> tuple[int, int, int]:
        if version < 1:
            raise Invalid("world_version", version, "")
        self.model.annotate(version, {name: pair[1] for name, pair in values.items()}, extends=extends)
        labels = [label for each in self.model.labels.values() for label in each]
        return len(self.model.labels), len(labels), sum(label.indicator == 1 for label in labels)

    def _told(self, result: Any) -> tuple[int, int, int]:
        return result.episodes, result.items, round(result.positive * max(result.items, 1))

    # ------------------------------------------------------------------------------ deleting and keeping

    @rule(picks=st.lists(st.integers(0, 12), min_size=1, max_size=3))
    def delete(self, picks: list[int]) -> None:
        names = [self._pick(pick) for pick in picks]
        self._agree(lambda: self.model.delete(names), lambda: self.shard.delete(names, "a test"))

    @rule()
    def keep(self) -> None:
        self._agree(self.model.keep, lambda: self.shard.keep()[0])

    @rule(name=st.sampled_from("abc"))
    def snapshot(self, name: str) -> None:
        found: Callable[[], int] = lambda: self.shard.snapshot(name).episodes  # noqa: E731
        self._agree(lambda: self.model.snapshot(name) or len(self.model.ended), found)
        assert {each.name for each in self.shard.snapshots()} == set(self.model.snapshots)

    @rule(name=st.sampled_from("abc"))
    def drop_snapshot(self, name: str) -> None:
        """First a server is started on a copy of it: it holds what there was then."""
        if name in self.model.snapshots:
            place = shutil.copytree(Path(self.shard.snapshots()[0].path).parent / name, self._home / "copied")
            kept = Shard(place, CONFIG)
            assert [info.episode_id for info in kept.query()] == self.model.snapshots[name]
            for info in kept.query():
                self._check_episode(kept, info.episode_id)
            kept.close()
            shutil.rmtree(place)
        self._agree(lambda: self.model.drop_snapshot(name), lambda: self.shard.drop_snapshot(name))

    @rule(name=st.sampled_from(VIEWS), picks=st.lists(small, min_size=1, max_size=6))
    def view(self, name: str, picks: list[int]) -> None:
        """15: of an episode that has not ended."""
        ended = self.model.ended or ["e0"]
        chosen = [ended[-1 - pick % len(ended)] if pick < 15 else self._pick(0) for pick in picks]
        self._agree(lambda: self.model.view(name, chosen), lambda: self.shard.view(name, chosen, "a test").episodes)
        assert {each.name for each in self.shard.views()} == set(self.model.views)

    @rule(name=st.sampled_from(VIEWS))
    def drop_view(self, name: str) -> None:
        self._agree(lambda: self.model.drop_view(name), lambda: self.shard.drop_view(name))

    # ------------------------------------------------------------------------------------------ telling

    @rule(table=st.sampled_from(("", *TABLES, *VIEWS)), version=st.integers(0, 3))
    def query(self, table: str, version: int) -> None:
        labelled = self.model.labels if version == self.model.version else {}

        def wanted() -> list[str]:
            here = [name for name in self.model.ended if not table or self.model.lies_in(name, table)]
            assert not table or self.model.table(table)
            return [name for name in here if not version or name not in labelled]

        self._agree(wanted, lambda: [info.episode_id for info in self.shard.query(table, version)])

    @rule(which=st.integers(0, 12))
    def fetch(self, which: int) -> None:
        name = self._pick(which)
        if name in self.model.ended:
            Operations.done += 1
            self._check_episode(self.shard, name)
        else:
            self._agree(lambda: self._not_there(name), lambda: self.shard.fetch(name))

    def _not_there(self, name: str) -> None:
        raise NotFound(name)

    def _check_episode(self, shard: Shard, name: str) -> None:
        told, found = self.model.episodes[name], shard.fetch(name)
        assert (found.header, found.outcome) == (told.header, told.outcome)
        for column in ("step", "timestamp", "proprio", "action", "reward", "source", "trainable", "policy_version"):
            assert np.array_equal(getattr(found.steps, column), told.column(column)), f"{column} of {name}"
        assert found.steps.step[found.steps.frame_row].tolist() == told.frames
        for number, step in enumerate(told.frames):
            assert np.array_equal(found.steps.images["eye"][number], picture(told, step))

    @rule()
    def info(self) -> None:
        Operations.done += 1
        found, model = self.shard.info(), self.model
        assert found.annotation_version == model.version
        assert found.open_episodes == sum(told.state == "open" for told in model.episodes.values())
        assert found.deleted_episodes == len(model.deleted)
        assert found.quarantined_segments == 0
        assert {each.name for each in found.tables} == {*model.tables, *model.viewed}
        for each in found.tables:
            self._check_table(each)

    def _check_table(self, found: Any) -> None:
        known, model = self.model.table(found.name), self.model
        here = [name for name in model.ended if model.lies_in(name, found.name)]
        tasks = Counter(model.episodes[name].header.task for name in here)
        assert (found.episodes, found.items) == (len(here), len(known.items))
        assert found.steps == sum(len(model.episodes[name]) for name in here)
        assert found.episodes_by_task == tasks
        assert (found.inserted_items, found.sampled_items) == (known.inserts, known.samples)
        assert found.lead == known.lead
        assert found.unseen_by_task == Counter(item.task for item in known.items if not item.times)
        assert {task: count for task, count in found.dropped_by_task.items() if count} == known.dropped
        marked = sum(model.label(*item.name).indicator >= 0 for item in known.items)
        assert math.isclose(found.labelled, marked / max(len(known.items), 1))

    # --------------------------------------------------------------------------------------------- life

    @rule()
    def reopen(self) -> None:
        """An orderly stop, and a start."""
        Operations.done += 1
        self.shard.close()
        self.shard = self.door(self._place(), CONFIG)
        self.model.save()
        self.model.restart()

    @rule()
    def crash(self) -> None:
        """A start on what lies on the disk now; the old process never gets to say goodbye."""
        Operations.done += 1
        old, before = self.shard, self._place()
        self._lives += 1
        shutil.copytree(before, self._place())
        old.close()
        shutil.rmtree(before)
        self.shard = self.door(self._place(), CONFIG)
        self.model.restart()

    def teardown(self) -> None:
        try:
            self.info()
            for name in self.model.ended:
                self._check_episode(self.shard, name)
        finally:
            self.shard.close()
            shutil.rmtree(self._home)


class OverTheWire(Operations):
    """The same through gRPC."""

    door = Far


def attempt(machine: type[RuleBasedStateMachine], examples: int, steps: int, number: int) -> None:
    """Raises where model and shard disagree, after printing the shortest way there that was found."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    hypothesis.seed(number)(machine)
    run_state_machine_as_test(machine, settings=chosen)


def agree(count: int, seed: int, machine: type[Operations] = Operations) -> int:
    """At least `count` operations, on one shard after another; how many. Raises where model and shard disagree."""
    logging.getLogger("ramp").setLevel(logging.CRITICAL)
    Operations.done, rounds = 0, 0
    with patch.object(table, "MANY_STEPS", 60):  # so that columns are made anew on small shards too
        while Operations.done < count:
            left = count - Operations.done
            attempt(machine, max(1, min(20, left // STEPS)), min(STEPS, left), seed + rounds)
            rounds += 1
    return Operations.done


def run(*, count: int, seed: int, folder: Path) -> list[Row]:
    """The proof, on every core. Raises AssertionError where model and shard disagree."""
    began, workers = time.monotonic(), os.cpu_count() or 1
    shares = [count // workers + (number < count % workers) for number in range(workers)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        seeds = [(seed * workers + number) * 1_000_000 for number in range(workers)]
        done = sum(pool.map(agree, shares, seeds))
    row: Row = {"name": "operations: answers other than the model's", "value": 0, "operations": done}
    return [row | {"seconds": round(time.monotonic() - began, 1)}]
