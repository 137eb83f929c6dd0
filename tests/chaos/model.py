"""The contract of a shard as dicts and lists: what every operation answers, and what there is afterwards.

Slow and plain, so that it can be believed. Methods raise what the shard must raise, and then nothing has changed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ramp.advantage.config import AdvantageConfig
from ramp.errors import Conflict, Invalid, NotFound, Timeout
from ramp.replay.info import Progress
from ramp.replay.shard import ShardConfig
from ramp.replay.table import TableConfig
from ramp.types import EpisodeHeader, Order, Outcome, Source, StepBatch, StepSchema

SCHEMA = StepSchema(cameras={"eye": (2, 2, 3)}, proprio_width=2, action_low=(-1.0, -1.0), action_high=(1.0, 1.0))
CHUNK, HORIZONS = 3, (2, 5)


@dataclass
class Told:
    """One episode, as its producer tells it."""

    header: EpisodeHeader
    batches: list[StepBatch] = field(default_factory=list)
    state: str = "open"  # ended, aborted
    outcome: Outcome | None = None

    def column(self, name: str) -> np.ndarray:
        """Of all its steps."""
        return np.concatenate([getattr(batch, name) for batch in self.batches])

    def __len__(self) -> int:
        return sum(map(len, self.batches))

    @property
    def frames(self) -> list[int]:
        """Steps that carry frames."""
        return [int(batch.step[row]) for batch in self.batches for row in batch.frame_row]

    def progress(self) -> Progress:
        return Progress(next_batch=len(self.batches), ended=self.state == "ended")


@dataclass(eq=False)
class Item:
    """A step with a frame in one table."""

    episode_id: str
    step: int
    task: str
    priority: float
    set: bool = False  # whether the priority was set from outside
    times: int = 0  # drawn since the start

    @property
    def name(self) -> tuple[str, int]:
        return self.episode_id, self.step


@dataclass
class TableModel:
    config: TableConfig
    items: list[Item] = field(default_factory=list)  # that can be drawn, oldest first
    spent: list[Item] = field(default_factory=list)  # drawn as often as they may be
    dropped: Counter[str] = field(default_factory=Counter)  # of those, since the start
    inserts: int = 0
    removals: int = 0
    forgotten: int = 0  # items of deleted episodes
    samples: int = 0

    @property
    def lead(self) -> float:
        limit = self.config.limiter
        ratio = limit.samples_per_insert
        return 0.0 if ratio is None else ratio * (self.inserts - limit.min_size) - self.samples

    def may_insert(self) -> bool:
        limit = self.config.limiter
        return limit.samples_per_insert is None or self.inserts < limit.min_size or self.lead < limit.slack

    def may_sample(self, count: int, needed: int) -> bool:
        limit = self.config.limiter
        there = self.inserts - self.removals >= max(limit.min_size, needed) and len(self.items) >= needed
        return there and (limit.samples_per_insert is None or self.lead - count >= -limit.slack)

    def chances(self, order: Order, count: int) -> dict[tuple[str, int], float]:
        """Every item that may be drawn now, with its probability."""
        if order is Order.FIFO:
            return {item.name: 1.0 for item in self.items[:count]}
        if order is Order.LIFO:
            return {item.name: 1.0 for item in self.items[-count:]}
        if order is Order.STRATIFIED:
            tasks = Counter(item.task for item in self.items)
            return {item.name: 1 / (len(tasks) * tasks[item.task]) for item in self.items}
        weights = {item.name: item.priority if order is Order.PRIORITIZED else 1.0 for item in self.items}
        total = math.fsum(weights.values())
        if total <= 0:
            raise Invalid("order", "every priority is 0", "")
        return {name: weight / total for name, weight in weights.items() if weight > 0}

    def draw(self, names: Sequence[tuple[str, int]]) -> None:
        """These were drawn."""
        self.samples += len(names)
        for item in self.items:
            item.times += names.count(item.name)
        bound = self.config.max_times_sampled
        gone = [item for item in self.items if bound and item.times >= bound]
        self.dropped.update(item.task for item in gone)
        self.spent += gone
        self._take_out(gone)

    def _take_out(self, gone: Sequence[Item]) -> None:
        self.items = [item for item in self.items if item not in gone]
        self.removals += len(gone)

    def forget(self, episode_id: str) -> None:
        gone = [item for item in (*self.items, *self.spent) if item.episode_id == episode_id]
        self.forgotten += len(gone)
        self._take_out([item for item in gone if item in self.items])
        self.spent = [item for item in self.spent if item.episode_id != episode_id]


@dataclass
class Saved:
    """What a checkpoint knows of a table."""

    forgotten: int = 0
    samples: int | None = None
    priorities: dict[tuple[str, int], float] = field(default_factory=dict)


@dataclass
class Label:
    """Of one item."""

    value: float
    advantage: float
    indicator: int
    version: int


class Model:
    def __init__(self, config: ShardConfig) -> None:
        self.config = config
        self.episodes: dict[str, Told] = {}
        self.ended: list[str] = []  # in order, without the deleted ones
        self.deleted: set[str] = set()
        self.tables = {name: TableModel(each) for name, each in config.tables.items()}
        self.saved = {name: Saved() for name in config.tables}
        self.snapshots: dict[str, list[str]] = {}  # name -> episodes that had ended
        self.views: dict[str, list[str]] = {}  # name -> episodes, the deleted ones too
        self.viewed: dict[str, TableModel] = {}
        self.version = 0
        self.remaining: dict[str, np.ndarray] = {}  # of the current generation
        self.labels: dict[str, list[Label]] = {}

    # ---------------------------------------------------------------------------------------- appending

    def _known(self, episode_id: str) -> Told:
        if episode_id in self.deleted or episode_id not in self.episodes:
            raise NotFound(episode_id)
        return self.episodes[episode_id]

    def begin(self, header: EpisodeHeader) -> Progress:
        told = self.episodes.setdefault(header.episode_id, Told(header))
        if header.episode_id in self.deleted or told.header != header:
            raise Conflict("episode_id", header.episode_id, "")
        return told.progress()

    def append(self, episode_id: str, number: int, steps: StepBatch) -> Progress:
        told = self._known(episode_id)
        if number < len(told.batches):
            if told.batches[number] is not steps:
                raise Conflict("number", number, "")
        elif told.state != "open":
            raise Conflict("number", number, "")
        elif number > len(told.batches) or steps.step[0] != len(told):
            raise Invalid("number", number, "")
        elif len(told) + len(steps) > told.header.max_steps:
            raise Invalid("step", len(told), "")
        else:
            told.batches.append(steps)
        return told.progress()

    def end(self, episode_id: str, outcome: Outcome, batches: int) -> Progress:
        told = self._known(episode_id)
        if told.state == "aborted" or (told.state == "ended" and (outcome, batches) != self._end_of(told)):
            raise Conflict("end", episode_id, "")
        if told.state == "open":
            if batches != len(told.batches) or not told.frames:
                raise Invalid("end", episode_id, "")
            tables = [self.tables[name] for name in told.header.tables]
            if not all(table.may_insert() for table in tables):
                raise Timeout("the rate limiter")
            told.state, told.outcome = "ended", outcome
            self.ended.append(episode_id)
            for table in tables:
                table.inserts += self._insert(table, told)
        return told.progress()

    def _end_of(self, told: Told) -> tuple[Outcome | None, int]:
        return told.outcome, len(told.batches)

    def _insert(self, table: TableModel, told: Told) -> int:
        source = told.column("source")
        for step in told.frames:
            priority = table.config.human_priority if source[step] == Source.HUMAN else 1.0
            table.items.append(Item(told.header.episode_id, step, told.header.task, priority))
        return len(told.frames)

    def abort(self, episode_id: str) -> None:
        told = self._known(episode_id)
        if told.state == "ended":
            raise Conflict("abort", episode_id, "")
        told.state = "aborted"

    # ----------------------------------------------------------------------------------------- sampling

    def may_draw(self, table: str, order: Order, count: int) -> dict[tuple[str, int], float]:
        """What a batch may consist of, with its probabilities."""
        known = self.table(table)
        if known.config.limiter.samples_per_insert is not None and count > 2 * known.config.limiter.slack:
            raise Invalid("batch_size", count, "")
        if not known.may_sample(count, count if order in (Order.FIFO, Order.LIFO) else 1):
            raise Timeout(table)
        return known.chances(order, count)

    def update_priorities(self, table: str, names: Sequence[tuple[str, int]], priority: float) -> int:
        known = self.table(table)
        there = {item.name for item in (*known.items, *known.spent)}
        if not set(names) <= there:
            raise NotFound(table)
        if not (math.isfinite(priority) and priority >= 0):
            raise Invalid("priority", priority, "")
        for item in known.items:
            if item.name in names:
                item.priority, item.set = priority, True
        return len(names)

    # ----------------------------------------------------------------------------------------- labels

    def annotate(self, version: int, values: Mapping[str, np.ndarray], *, extends: bool) -> None:
        for episode_id in values:
            if episode_id not in self.ended:
                raise NotFound(episode_id)
        if extends and version != self.version:
            raise Invalid("extends", version, "")
        self.remaining = {**(self.remaining if extends else {}), **values}
        self.version = version
        self.derive()

    def derive(self) -> None:
        """Labels of the episodes that there are now."""
        known = {name: told for name, told in self.episodes.items() if name in self.ended and name in self.remaining}
        found = {name: advantages(told, self.remaining[name], self.config.advantage) for name, told in known.items()}
        pools: dict[tuple[str, bool], list[float]] = {}
        for name, told in known.items():
            source = told.column("source")
            for step, advantage in zip(told.frames, found[name], strict=True):
                if source[step] != Source.HUMAN:
                    pools.setdefault((told.header.task, bool(source[step] == Source.DEMO)), []).append(advantage)
        eps = {key: threshold(pool, key[1], self.config.advantage) for key, pool in pools.items()}
        self.labels = {name: self._labels(told, found[name], eps) for name, told in known.items()}

    def _labels(self, told: Told, found: Sequence[float], eps: Mapping[tuple[str, bool], float]) -> list[Label]:
        source, remaining = told.column("source"), self.remaining[told.header.episode_id]
        labels = []
        for number, step in enumerate(told.frames):
            human = bool(source[step] == Source.HUMAN)
            limit = eps.get((told.header.task, bool(source[step] == Source.DEMO)), math.inf)
            indicator = int(human or found[number] > limit)
            labels.append(Label(-float(remaining[number]), found[number], indicator, self.version))
        return labels

    def label(self, episode_id: str, step: int) -> Label:
        """Of an item, whether it has been labelled or not."""
        told = self.episodes[episode_id]
        if episode_id in self.labels:
            return self.labels[episode_id][told.frames.index(step)]
        human = told.column("source")[step] == Source.HUMAN
        return Label(math.nan, math.nan, 1 if human else -1, 0)

    # ------------------------------------------------------------------------------ deleting and keeping

    def delete(self, episode_ids: Sequence[str]) -> int:
        gone = [each for each in dict.fromkeys(episode_ids) if each not in self.deleted]
        for episode_id in gone:
            if self._known(episode_id).state == "open":
                raise Conflict("episode_id", episode_id, "")
        for episode_id in gone:
            self.deleted.add(episode_id)
            self.ended = [each for each in self.ended if each != episode_id]
            self.labels.pop(episode_id, None)
            for table in (*self.tables.values(), *self.viewed.values()):
                table.forget(episode_id)
        return len(gone)

    def keep(self) -> int:
        """What the retention rule, a number of episodes, gives up."""
        rule = self.config.retention
        subject = [each for each in self.ended if set(self.episodes[each].header.tables) <= set(rule.tables)]
        return self.delete(subject[: max(len(subject) - rule.max_episodes, 0)])

    def snapshot(self, name: str) -> None:
        self.save()
        if name in self.snapshots:
            raise Conflict("name", name, "")
        self.snapshots[name] = list(self.ended)

    def drop_snapshot(self, name: str) -> None:
        if name not in self.snapshots:
            raise NotFound(name)
        del self.snapshots[name]

    # ------------------------------------------------------------------------------------------- views

    def table(self, name: str) -> TableModel:
        """One that can be sampled."""
        if name not in self.tables and name not in self.viewed:
            raise NotFound(name)
        return self.tables.get(name) or self.viewed[name]

    def lies_in(self, episode_id: str, table: str) -> bool:
        return table in self.episodes[episode_id].header.tables or episode_id in self.views.get(table, ())

    def view(self, name: str, episode_ids: Sequence[str]) -> int:
        if name in self.views:
            raise Conflict("name", name, "")
        if not set(episode_ids) <= set(self.ended):
            raise NotFound(name)
        self.views[name] = list(dict.fromkeys(episode_ids))
        self._show(name)
        return len(self.views[name])

    def _show(self, name: str) -> None:
        """A table like any other, with what is left of its episodes."""
        self.viewed[name] = TableModel(TableConfig())
        for episode_id in self.views[name]:
            if episode_id in self.ended:
                self.viewed[name].inserts += self._insert(self.viewed[name], self.episodes[episode_id])

    def drop_view(self, name: str) -> None:
        if name not in self.views:
            raise NotFound(name)
        del self.views[name], self.viewed[name]

    # -------------------------------------------------------------------------------------------- life

    def save(self) -> None:
        """A checkpoint is written."""
        for name, table in self.tables.items():
            priorities = {item.name: item.priority for item in table.items if item.set}
            self.saved[name] = Saved(table.forgotten, table.samples, priorities)

    def restart(self) -> None:
        """From the segments, and what the last checkpoint knew."""
        for name, table in self.tables.items():
            self.tables[name] = fresh = TableModel(table.config)
            for episode_id in self.ended:
                if name in self.episodes[episode_id].header.tables:
                    self._insert(fresh, self.episodes[episode_id])
            self._restore(fresh, self.saved[name])
        for name in self.views:
            self._show(name)
        self.derive()

    def _restore(self, table: TableModel, saved: Saved) -> None:
        for item in table.items:
            item.set = item.name in saved.priorities
            item.priority = saved.priorities.get(item.name, item.priority)
        table.removals = table.forgotten = saved.forgotten
        table.inserts = len(table.items) + saved.forgotten
        ratio = table.config.limiter.samples_per_insert or 0.0
        balanced = int(max(0.0, ratio * (table.inserts - table.config.limiter.min_size)))
        table.samples = balanced if saved.samples is None else saved.samples


# ------------------------------------------------------------------------------------------ arithmetic


def advantages(told: Told, remaining: np.ndarray, config: AdvantageConfig) -> list[float]:
    """A_t = sum of rewards over the next m steps / T_max + v_{t+m} - v_t at every frame, step by step."""
    reward, frames, length = told.column("reward"), told.frames, len(told)
    value = {step: -float(each) for step, each in zip(frames, remaining, strict=True)}
    value[length] = 0.0 if told.outcome is Outcome.SUCCESS else -config.failure_penalty
    found = []
    for step in frames:
        later = [each for each in frames if each > step] or [length]
        within = [each for each in later if each <= step + config.n_steps]
        until = length if step + config.n_steps >= length else (within[-1] if within else later[0])
        total = sum(float(each) for each in reward[step:until]) / told.header.max_steps
        found.append(float(np.float32(total + value[until] - value[step])))
    return found


def threshold(pool: Sequence[float], demo: bool, config: AdvantageConfig) -> float:
    """Above it lies the configured share of the pool."""
    wanted = round((config.demo_positive if demo else config.rollout_positive) * len(pool))
    if not wanted:
        return math.inf
    return sorted(pool, reverse=True)[wanted] if wanted < len(pool) else -math.inf


def window(told: Told, step: int) -> dict[str, np.ndarray]:
    """The columns of a sampled item that follow from the steps: CHUNK actions, frames at HORIZONS."""
    length, frames, source = len(told), told.frames, told.column("source")
    taken = [min(step + ahead, length - 1) for ahead in range(CHUNK)]
    until = next((each for each in range(step, length) if source[each] != source[step]), length)
    valid = [step + ahead < until and told.column("trainable")[taken[ahead]] for ahead in range(CHUNK)]
    wanted = [step + ahead for ahead in HORIZONS]
    shown = [max(each for each in frames if each <= min(want, length - 1)) for want in wanted]
    return {
        "action": told.column("action")[taken],
        "chunk_valid": np.array(valid),
        "proprio": told.column("proprio")[step],
        "future_proprio": told.column("proprio")[shown],
        "future_valid": np.array([each == want for each, want in zip(shown, wanted, strict=True)]),
        "images": picture(told, step),
        "future_images": np.stack([picture(told, each) for each in shown]),
    }


def picture(told: Told, step: int) -> np.ndarray:
    """The only camera's frame at a step."""
    (camera,) = told.header.schema.cameras
    frames = np.concatenate([batch.images[camera] for batch in told.batches])
    return frames[told.frames.index(step)]
