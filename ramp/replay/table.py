"""A named set of ended episodes: items, ways to draw them, a rate limiter. Numbers lie in memory, pixels in segments.

An item is a step with a frame.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ramp.errors import Invalid, NotFound, Timeout
from ramp.replay.entry import FramePlaces
from ramp.replay.frames import Outline, Pixels, filled, segments
from ramp.replay.gather import check_size, check_spec, gather
from ramp.replay.info import TableInfo
from ramp.replay.labels import Labels
from ramp.replay.limiter import Limiter
from ramp.replay.memory import Memory, View
from ramp.replay.notes import schema_to_note
from ramp.replay.priorities import Priorities
from ramp.replay.readahead import ReadAhead
from ramp.replay.selection import WHOLE, Drawn, Selection
from ramp.types import Batch, EpisodeHeader, Outcome, SampleSpec, Source, StepBatch, StepSchema

MANY_STEPS = 50_000  # of removed episodes: where they are as many as the others, the columns are made anew


@dataclass(frozen=True, kw_only=True, slots=True)
class TableConfig:
    """How one table is sampled and limited."""

    limiter: Limiter.Config = field(default_factory=Limiter.Config)
    human_priority: float = 1.0  # initial priority of items whose first step a person acted on; 1 for all others
    human_only: bool = False  # of an episode only the items at which a person acted; none of one without a person
    max_times_sampled: int = 0  # an item drawn so often since the start is drawn no more; 0: no bound


class Table:
    """Thread-safe. `pixels` gives the mapped bytes of a segment file, or with `files` False of something like one."""

    def __init__(self, name: str, config: TableConfig, pixels: Pixels, *, files: bool = True) -> None:
        self.name, self._config, self.pixels, self.files = name, config, pixels, files
        self.limiter = config.limiter.build()
        self._lock = threading.Lock()
        self._memory: Memory | None = None  # until a first episode brings a schema
        self._selection = Selection(config.max_times_sampled)
        self._read_ahead = ReadAhead()
        self._by_task: Counter[str] = Counter()  # episodes
        self._steps = self._changes = 0
        self._gone: set[str] = set()  # episodes removed since the columns were made
        self.forgotten = 0  # items of removed episodes, since the table was made

    # ------------------------------------------------------------------------------------------- insert

    @property
    def schema(self) -> StepSchema | None:
        """What all its episodes agree to; None in an empty table."""
        return self._memory.schema if self._memory else None

    def check_schema(self, schema: StepSchema) -> None:
        """Raises Invalid where the table's episodes have another schema."""
        if self.schema not in (None, schema):
            theirs, ours = schema_to_note(schema), schema_to_note(self.schema or schema)
            raise Invalid("schema", theirs, f"table {self.name} holds steps of {ours}; name another table")

    def adopt(self, schema: StepSchema) -> None:
        """Fix the schema that all episodes of the table share. Raises Invalid where it is another one."""
        with self._lock:
            self._adopt(schema)

    def _adopt(self, schema: StepSchema) -> Memory:
        self.check_schema(schema)
        if self._memory is None:
            self._memory = Memory(schema)
        return self._memory

    def insert(
        self,
        header: EpisodeHeader,
        outcome: Outcome,
        steps: StepBatch,
        places: FramePlaces,
        labels: tuple[Labels | None, int],
    ) -> None:
        """Make an ended episode's items visible. `steps` may come without images; `labels` with their version.

        Raises Invalid for another schema.
        """
        driven = steps.source[steps.frame_row] == Source.HUMAN
        if self._config.human_only and not driven.any():
            return
        with self._lock:
            memory = self._adopt(header.schema)
            memory.insert(header, outcome, steps, places, *labels)
            marked = memory.items["indicator"].view[len(memory.items["row"]) - len(driven) :] >= 0
            first = self._selection.append(header.task, np.where(driven, self._config.human_priority, 1.0), marked)
            if self._config.human_only:
                self._selection.remove(first + np.flatnonzero(~driven))
            self._by_task[header.task] += 1
            self._steps += len(steps)
        self.limiter.inserted(int(driven.sum()) if self._config.human_only else len(driven))

    # ------------------------------------------------------------------------------------------- change

    def relabel(self, labels: Mapping[str, Labels], version: int) -> None:
        """Switch every item to a new generation at once; episodes that it does not name lose their labels."""
        with self._lock:
            if self._memory:
                self._memory.relabel(labels, version)
                self._selection.mark(self._memory.items["indicator"].view >= 0)

    def update_priorities(
        self, episode_ids: Sequence[str], steps: Sequence[int] | np.ndarray, priorities: np.ndarray
    ) -> int:
        """Set priorities of items; how many. Raises NotFound for an item that the table does not hold, Invalid."""
        if not len(episode_ids) == len(steps) == len(priorities):
            lengths = (len(episode_ids), len(steps), len(priorities))
            raise Invalid("priority", f"lists of {lengths}", "send three lists of one length")
        wanted = np.asarray(steps, dtype=np.int64)
        with self._lock:
            items = self._memory.items_at(episode_ids, wanted) if self._memory else np.full(len(wanted), -1)
            if (items < 0).any():
                row = int(np.argmax(items < 0))
                step, name = wanted[row], episode_ids[row][:160]
                raise NotFound(f"table {self.name} holds no item at step {step} of episode {name!r}")
            self._selection.set_priorities(items, priorities)
            self._changes += 1
            return len(items)

    @property
    def changes(self) -> int:
        """Grows whenever priorities are set from outside."""
        return self._changes

    def changed_priorities(self) -> Priorities:
        """Of every item whose priority was set from outside."""
        with self._lock:
            if self._memory is None:
                return Priorities.none()
            view, changed = self._memory.view(), self._selection.changed
        items, priorities = changed.items()
        episodes = view.items["episode"][items]
        steps = view.items["row"][items] - view.episodes["begin"][episodes]
        return Priorities(view.texts.ids, episodes, steps, priorities)

    def restore(self, forgotten: int, samples: int | None, known: Priorities) -> None:
        """What a checkpoint knew; priorities as far as their items are still here. Items begin anew to be counted as
        drawn, so those that were drawn as often as they may be are here again. Raises Invalid."""
        with self._lock:
            if self._memory:
                items = self._memory.items_at([known.ids[each] for each in known.episode.tolist()], known.step)
                self._selection.set_priorities(items[items >= 0], known.priority[items >= 0])
            self.forgotten, there = forgotten, len(self._selection)
        self.limiter.restore(there, forgotten, samples)

    def repoint(self, moved: Mapping[str, FramePlaces]) -> None:
        """Frames of these episodes, as far as they are here, lie elsewhere from now on."""
        with self._lock:
            if self._memory:
                self._memory.repoint(moved)

    def remove(self, episode_ids: Collection[str]) -> None:
        """Never sample these again, as far as they are here."""
        with self._lock:
            memory = self._memory
            here = [each for each in episode_ids if memory and each in memory.index]
            if not memory or not here:
                return
            items = np.concatenate([self._forget(memory, each) for each in here])
            removed = self._selection.remove(items)
            self.forgotten += self._count_inserted(memory, items)
            self._compress(memory)
        self.limiter.removed(removed)

    def holds(self, episode_id: str) -> bool:
        """Whether its items can be drawn here."""
        with self._lock:
            return self._memory is not None and episode_id in self._memory.index and episode_id not in self._gone

    def _forget(self, memory: Memory, episode_id: str) -> np.ndarray:
        """Its items."""
        number = memory.index.pop(episode_id)
        self._gone.add(episode_id)
        self._by_task[memory.texts.tasks[number]] -= 1
        self._steps -= int(memory.episodes["length"].view[number])
        return np.array(memory.items_of(number), dtype=np.int64)

    def _count_inserted(self, memory: Memory, items: np.ndarray) -> int:
        """How many of these counted as inserts."""
        if not self._config.human_only:
            return len(items)
        return int((memory.steps["source"].view[memory.items["row"].view[items]] == Source.HUMAN).sum())

    def _compress(self, memory: Memory) -> None:
        """Give memory back where most of it is of removed episodes."""
        dead = len(memory.steps["source"]) - self._steps
        if dead >= max(self._steps, MANY_STEPS):
            self._memory, numbers = memory.without(self._gone)
            self._selection.renumber(numbers)
            self._gone = set()

    # ------------------------------------------------------------------------------------------- sample

    def check(self, spec: SampleSpec) -> None:
        """Raises Invalid for a request that no table could answer, or this one only by waiting for ever."""
        check_spec(spec)
        self.limiter.check_batch(spec.batch_size)
        if self.schema is not None:  # an empty table does not know yet
            check_size(spec, self.schema)

    def sample(
        self, spec: SampleSpec, generator: np.random.Generator, timeout: float | None = None
    ) -> tuple[Batch, float]:
        """A batch, and the seconds it had to wait. Raises Invalid, Timeout, Unavailable (closing), Corrupt."""
        outline, waited = self.outline(spec, generator, timeout)
        return filled(outline, outline.pixels), waited

    def outline(
        self, spec: SampleSpec, generator: np.random.Generator, timeout: float | None = None
    ) -> tuple[Outline, float]:
        """As `sample`, but for the frames: they lie where it says, and its `pixels` has them."""
        self.check(spec)
        began, waited = time.monotonic(), 0.0
        while True:
            left = None if timeout is None else max(0.0, timeout - (time.monotonic() - began))
            waited += self.limiter.await_sample(spec.batch_size, left, spec.batch_size if spec.order in WHOLE else 1)
            try:
                drawn = self._draw(spec, generator)
            except Invalid:
                self.limiter.give_back(spec.batch_size)
                raise
            outline = self._held(gather(spec, *drawn)) if drawn is not None else None
            if outline is not None:
                return outline, waited
            self.limiter.give_back(spec.batch_size)  # somebody was faster
            if left == 0.0:
                raise Timeout(f"no {spec.batch_size} items of table {self.name} were left to draw")

    def _held(self, outline: Outline) -> Outline | None:
        """With its segments at hand, and its frames on their way into memory; None where one was written again since,
        and its frames lie elsewhere."""
        try:
            held = replace(outline, sources={name: self.pixels(name) for name in segments(outline)})
        except FileNotFoundError:
            return None
        if self.files:
            self._read_ahead(held)
        return held

    def _draw(self, spec: SampleSpec, generator: np.random.Generator) -> tuple[Drawn, View] | None:
        """What is to be gathered; None where there are too few items by now. Raises Invalid."""
        with self._lock:
            assert self._memory is not None
            check_size(spec, self._memory.schema)
            before = len(self._selection)
            drawn = self._selection.draw(spec.order, spec.batch_size, generator)
            spent = before - len(self._selection)
            found = None if drawn is None else (drawn, self._memory.view())
        if spent:
            self.limiter.removed(spent)
        return found

    # --------------------------------------------------------------------------------------------- tell

    def info(self) -> TableInfo:
        with self._lock:
            items, steps = len(self._selection), self._steps
            labelled = self._selection.labelled / items if items else 0.0
            by_task = {task: count for task, count in self._by_task.items() if count}
            unseen, dropped = dict(self._selection.unseen), dict(self._selection.dropped)
        return TableInfo(
            name=self.name,
            episodes=sum(by_task.values()),
            items=items,
            steps=steps,
            inserted_items=self.limiter.inserts,
            sampled_items=self.limiter.samples,
            lead=self.limiter.lead,
            insert_wait_s=self.limiter.insert_wait_s,
            sample_wait_s=self.limiter.sample_wait_s,
            labelled=labelled,
            episodes_by_task=by_task,
            unseen_by_task=unseen,
            dropped_by_task=dropped,
        )
