"""A named set of ended episodes: items, a sampler, a rate limiter. Numbers lie in memory, pixels in the segments.

An item is a step with a frame. N steps, M items, E episodes, C cameras of the whole table; B, H, K as in ramp.types.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ramp.advantage.interventions import segment_ends
from ramp.data.track import POINTS, ahead
from ramp.errors import Invalid, NotFound
from ramp.replay.entry import FramePlaces
from ramp.replay.growing import Growing
from ramp.replay.info import TableInfo
from ramp.replay.labels import Labels, unlabelled
from ramp.replay.limiter import Limiter
from ramp.replay.notes import schema_to_note
from ramp.replay.sampler import SumTree, draw_uniform
from ramp.types import Batch, EpisodeHeader, Outcome, SampleSpec, Source, StepBatch, StepSchema

MAX_BATCH = 65536
MAX_CHUNK = 4096
MAX_HORIZONS = 64
MAX_STRIDE = 100_000  # steps between the points of a track
MAX_BATCH_BYTES = 448 * 2**20  # of one batch in memory, and so of one message
CHUNK_BYTES = 17  # to find one step of a chunk: two indices of 8 bytes and whether it is valid
TRACK_BYTES = POINTS * (CHUNK_BYTES + 8)  # a track is found in the same way, two numbers a point


@dataclass(frozen=True, kw_only=True, slots=True)
class TableConfig:
    """How one table is sampled and limited."""

    limiter: Limiter.Config = field(default_factory=Limiter.Config)
    human_priority: float = 1.0  # initial priority of items whose first step a person acted on; 1 for all others


@dataclass(slots=True)
class _Episodes:
    """What is known per episode, as columns [E]."""

    ids: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    by_task: dict[str, int] = field(default_factory=dict)


class Table:
    """Thread-safe. `pixels(segment)` gives the mapped bytes of a segment file."""

    def __init__(self, name: str, config: TableConfig, pixels: Callable[[str], np.ndarray]) -> None:
        self.name, self._config, self._pixels = name, config, pixels
        self.limiter = config.limiter.build()
        self.schema: StepSchema | None = None
        self._lock = threading.Lock()
        self._episodes = _Episodes()
        self._subgoals: list[str] = []  # every text there is; steps hold its number
        self._subgoal_index: dict[str, int] = {}
        self._segments: list[str] = []
        self._segment_index: dict[str, int] = {}
        self._tree = SumTree()
        self._priorities: dict[int, float] = {}  # those that were set from outside
        self._episode_columns = {
            "length": Growing(np.int32),
            "max_steps": Growing(np.int32),
            "success": Growing(np.bool_),
            "begin": Growing(np.int64),  # first step in the step columns
            "first_item": Growing(np.int64),
        }
        self._item_columns = {
            "episode": Growing(np.int64),
            "row": Growing(np.int64),  # in the step columns
            "segment": Growing(np.int32),
            "value": Growing(np.float32),
            "advantage": Growing(np.float32),
            "indicator": Growing(np.int8),
            "annotation_version": Growing(np.int32),
        }
        self._step_columns: dict[str, Growing] = {}

    # ------------------------------------------------------------------------------------------- insert

    def check_schema(self, schema: StepSchema) -> None:
        """Raises Invalid where the table's episodes have another schema."""
        if self.schema not in (None, schema):
            theirs, ours = schema_to_note(schema), schema_to_note(self.schema or schema)
            raise Invalid("schema", theirs, f"table {self.name} holds steps of {ours}; name another table")

    def adopt(self, schema: StepSchema) -> None:
        """Fix the schema that all episodes of the table share. Raises Invalid where it is another one."""
        with self._lock:
            self.check_schema(schema)
            if self.schema is None:
                self.schema = schema
                self._item_columns["offset"] = Growing(np.int64, (len(schema.cameras),))
                self._step_columns = {
                    "proprio": Growing(np.float32, (schema.proprio_width,)),
                    "action": Growing(np.float32, (schema.action_width,)),
                    "source": Growing(np.uint8),
                    "trainable": Growing(np.bool_),
                    "policy_version": Growing(np.int32),
                    "until": Growing(np.int64),  # first row at which someone else acts, or the episode is over
                    "frame": Growing(np.int64),  # item at this row or before it
                    "subgoal": Growing(np.int32),  # number of its text
                    "hand": Growing(np.float32, (2,)),
                }

    def insert(
        self,
        header: EpisodeHeader,
        outcome: Outcome,
        steps: StepBatch,
        places: FramePlaces,
        labels: tuple[Labels | None, int],
    ) -> None:
        """Make an ended episode's items visible. `steps` may come without images; `labels` with their version."""
        self.adopt(header.schema)
        with self._lock:
            begin, first = len(self._step_columns["source"]), len(self._item_columns["row"])
            self._insert_episode(header, outcome, len(steps), begin, first)
            self._insert_steps(steps, begin, first)
            self._insert_items(steps, places, begin)
            known, version = labels
            source = steps.source[steps.frame_row]
            self._append_labels(known or unlabelled(source), version if known else 0)
            self._tree.append(np.where(source == Source.HUMAN, self._config.human_priority, 1.0))
        self.limiter.inserted(len(steps.frame_row))

    def _insert_episode(self, header: EpisodeHeader, outcome: Outcome, length: int, begin: int, first: int) -> None:
        known = self._episodes
        known.index[header.episode_id] = len(known.ids)
        known.ids.append(header.episode_id)
        known.tasks.append(header.task)
        known.instructions.append(header.instruction)
        known.by_task[header.task] = known.by_task.get(header.task, 0) + 1
        values = (length, header.max_steps, outcome is Outcome.SUCCESS, begin, first)
        for column, value in zip(self._episode_columns.values(), values, strict=True):
            column.append(np.array([value]))

    def _insert_steps(self, steps: StepBatch, begin: int, first: int) -> None:
        for name in ("proprio", "action", "source", "trainable", "policy_version"):
            self._step_columns[name].append(getattr(steps, name))
        self._step_columns["until"].append(begin + segment_ends(steps.source))
        shown = np.searchsorted(steps.frame_row, np.arange(len(steps)), side="right") - 1
        self._step_columns["frame"].append(first + np.maximum(shown, 0))
        self._insert_thoughts(steps)

    def _insert_thoughts(self, steps: StepBatch) -> None:
        """Of an episode without labels: that nobody knows."""
        texts = [""] * len(steps) if steps.subgoal is None else steps.subgoal.tolist()
        hand = np.full((len(steps), 2), np.nan, np.float32) if steps.hand is None else steps.hand
        for text in dict.fromkeys(texts):
            if text not in self._subgoal_index:
                self._subgoal_index[text] = len(self._subgoals)
                self._subgoals.append(text)
        self._step_columns["subgoal"].append(np.array([self._subgoal_index[text] for text in texts]))
        self._step_columns["hand"].append(hand)

    def _insert_items(self, steps: StepBatch, places: FramePlaces, begin: int) -> None:
        count = len(steps.frame_row)
        for segment in places.segment:
            if segment not in self._segment_index:
                self._segment_index[segment] = len(self._segments)
                self._segments.append(segment)
        self._item_columns["episode"].append(np.full(count, len(self._episodes.ids) - 1))
        self._item_columns["row"].append(begin + steps.frame_row.astype(np.int64))
        self._item_columns["segment"].append(np.array([self._segment_index[segment] for segment in places.segment]))
        self._item_columns["offset"].append(places.offset)

    def _append_labels(self, labels: Labels, version: int) -> None:
        for name in ("value", "advantage", "indicator"):
            self._item_columns[name].append(getattr(labels, name))
        self._item_columns["annotation_version"].append(np.full(len(labels.value), version, dtype=np.int32))

    # ------------------------------------------------------------------------------------------- change

    def relabel(self, labels: Mapping[str, Labels], version: int) -> None:
        """Switch every item to a new generation at once; episodes that it does not name lose their labels."""
        with self._lock:
            rows = self._item_columns["row"].view
            edges = itertools.pairwise(np.append(self._episode_columns["first_item"].view, len(rows)).tolist())
            for name in ("value", "advantage", "indicator", "annotation_version"):
                column = self._item_columns[name]
                self._item_columns[name] = Growing(column.view.dtype)
            for episode_id, (first, last) in zip(self._episodes.ids, edges, strict=True):
                known = labels.get(episode_id)
                source = self._step_columns["source"].view[rows[first:last]]
                self._append_labels(known or unlabelled(source), version if known else 0)

    def update_priorities(self, episode_ids: Sequence[str], steps: Sequence[int], priorities: np.ndarray) -> int:
        """Set priorities of items; how many. Raises NotFound for an item that the table does not hold, Invalid."""
        with self._lock:
            items = np.array([self._item(*pair) for pair in zip(episode_ids, steps, strict=True)], dtype=np.int64)
            self._tree.update(items, priorities)
            self._priorities.update(zip(items.tolist(), np.asarray(priorities, dtype=np.float64).tolist(), strict=True))
            return len(items)

    def _item(self, episode_id: str, step: int) -> int:
        episode = self._episodes.index.get(episode_id)
        if episode is not None:
            row = int(self._episode_columns["begin"].view[episode]) + int(step)
            if 0 <= step < self._episode_columns["length"].view[episode]:
                item = int(self._step_columns["frame"].view[row])
                if self._item_columns["row"].view[item] == row:
                    return item
        raise NotFound(f"table {self.name} holds no item at step {step} of episode {episode_id[:160]!r}")

    def changed_priorities(self) -> list[tuple[str, int, float]]:
        """(episode, step, priority) of every item whose priority was set from outside."""
        with self._lock:
            rows, episodes = self._item_columns["row"].view, self._item_columns["episode"].view
            begins, ids = self._episode_columns["begin"].view, self._episodes.ids
            return [
                (ids[episodes[item]], int(rows[item] - begins[episodes[item]]), priority)
                for item, priority in self._priorities.items()
            ]

    # ------------------------------------------------------------------------------------------- sample

    def check(self, spec: SampleSpec) -> None:
        """Raises Invalid for a request that no table could answer, or this one only by waiting for ever."""
        if not 1 <= spec.batch_size <= MAX_BATCH:
            raise Invalid("batch_size", spec.batch_size, f"ask for 1 to {MAX_BATCH} items")
        if not 1 <= spec.chunk <= MAX_CHUNK:
            raise Invalid("chunk", spec.chunk, f"ask for 1 to {MAX_CHUNK} actions")
        horizons = spec.horizons
        if len(horizons) > MAX_HORIZONS or any(not 1 <= each < 2**31 for each in horizons):
            raise Invalid(
                "horizons", horizons[:MAX_HORIZONS], f"name at most {MAX_HORIZONS} numbers of steps ahead, above 0"
            )
        if not 0 <= spec.track_stride <= MAX_STRIDE:
            raise Invalid("track_stride", spec.track_stride, f"give 1 to {MAX_STRIDE} steps, or 0 for no labels")
        self.limiter.check_batch(spec.batch_size)
        self._check_size(spec)

    def _check_size(self, spec: SampleSpec) -> None:
        """Raises Invalid for more than MAX_BATCH_BYTES; an empty table does not know yet."""
        if self.schema is None:
            return
        pixels = sum(int(np.prod(shape)) for shape in self.schema.cameras.values())
        frames = (1 + len(spec.horizons)) * (pixels + 4 * self.schema.proprio_width)
        frames += TRACK_BYTES if spec.track_stride else 0
        size = spec.batch_size * (frames + spec.chunk * (4 * self.schema.action_width + CHUNK_BYTES))
        if size > MAX_BATCH_BYTES:
            remedy = f"stay below {MAX_BATCH_BYTES} bytes: a smaller batch, a shorter chunk or fewer horizons"
            raise Invalid("batch_size", f"{spec.batch_size} ({size} bytes)", remedy)

    def sample(
        self, spec: SampleSpec, generator: np.random.Generator, timeout: float | None = None
    ) -> tuple[Batch, float]:
        """A batch, and the seconds it had to wait. Raises Invalid, Timeout, Unavailable (closing), Corrupt."""
        self.check(spec)
        waited = self.limiter.await_sample(spec.batch_size, timeout)
        self._check_size(spec)  # again: the table may have been empty
        with self._lock:
            items, probability = self._draw(spec, generator)
            view = _View(
                {name: column.view for name, column in self._item_columns.items()},
                {name: column.view for name, column in self._step_columns.items()},
                {name: column.view for name, column in self._episode_columns.items()},
            )
        return self._gather(spec, items, probability, view), waited

    def _draw(self, spec: SampleSpec, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        if not spec.prioritized:
            return draw_uniform(generator, len(self._tree), spec.batch_size)
        if self._tree.total <= 0:
            raise Invalid("prioritized", "every priority is 0", "set a priority above 0, or sample uniformly")
        return self._tree.draw(generator.random(spec.batch_size))

    def _gather(self, spec: SampleSpec, items: np.ndarray, probability: np.ndarray, view: _View) -> Batch:
        assert self.schema is not None
        episodes, rows = view.items["episode"][items], view.items["row"][items]
        begins, lengths = view.episodes["begin"][episodes], view.episodes["length"][episodes]
        ids = episodes.tolist()
        action, chunk_valid = _chunks(rows, begins + lengths, view.steps, spec.chunk)
        future, future_valid = _futures(rows, begins + lengths, view, spec.horizons)
        return Batch(
            episode_id=[self._episodes.ids[each] for each in ids],
            task=[self._episodes.tasks[each] for each in ids],
            instruction=[self._episodes.instructions[each] for each in ids],
            step=(rows - begins).astype(np.int32),
            length=lengths,
            max_steps=view.episodes["max_steps"][episodes],
            success=view.episodes["success"][episodes],
            probability=probability,
            policy_version=view.steps["policy_version"][rows],
            source=view.steps["source"][rows],
            images={camera: self._images(items, number, camera, view) for number, camera in self._cameras()},
            proprio=view.steps["proprio"][rows],
            action=action,
            chunk_valid=chunk_valid,
            future_images={camera: self._images(future, number, camera, view) for number, camera in self._cameras()},
            future_proprio=view.steps["proprio"][view.items["row"][future]],
            future_valid=future_valid,
            **{name: view.items[name][items] for name in ("value", "advantage", "indicator", "annotation_version")},
            **(self._thoughts(spec.track_stride, rows, view) if spec.track_stride else {}),
        )

    def _thoughts(self, stride: int, rows: np.ndarray, view: _View) -> dict[str, Any]:
        track, valid = ahead(view.steps["hand"], rows, view.steps["until"][rows], stride=stride)
        subgoal = [self._subgoals[number] for number in view.steps["subgoal"][rows].tolist()]
        return {"subgoal": subgoal, "track": track, "track_valid": valid}

    def _cameras(self) -> list[tuple[int, str]]:
        assert self.schema is not None
        return list(enumerate(sorted(self.schema.cameras)))

    def _images(self, items: np.ndarray, number: int, camera: str, view: _View) -> np.ndarray:
        """uint8 [*items.shape, height, width, channels] of one camera, copied from the mapped segments."""
        assert self.schema is not None
        shape = self.schema.cameras[camera]
        size = int(np.prod(shape))
        found = np.empty((*items.shape, *shape), dtype=np.uint8)
        target, flat = found.reshape(-1).data, items.reshape(-1)
        segments = view.items["segment"][flat].tolist()
        sources = {each: self._pixels(self._segments[each]).data for each in set(segments)}
        offsets = view.items["offset"][flat, number].tolist()
        for place, (segment, offset) in enumerate(zip(segments, offsets, strict=True)):
            target[place * size : (place + 1) * size] = sources[segment][offset : offset + size]
        return found

    # --------------------------------------------------------------------------------------------- tell

    def info(self) -> TableInfo:
        with self._lock:
            items = len(self._tree)
            labelled = float((self._item_columns["indicator"].view >= 0).mean()) if items else 0.0
            steps = len(self._step_columns["source"]) if self._step_columns else 0
            by_task = dict(self._episodes.by_task)
            episodes = len(self._episodes.ids)
        return TableInfo(
            name=self.name,
            episodes=episodes,
            items=items,
            steps=steps,
            inserted_items=self.limiter.inserts,
            sampled_items=self.limiter.samples,
            lead=self.limiter.lead,
            insert_wait_s=self.limiter.insert_wait_s,
            sample_wait_s=self.limiter.sample_wait_s,
            labelled=labelled,
            episodes_by_task=by_task,
        )


@dataclass(frozen=True, slots=True)
class _View:
    """The columns at one moment."""

    items: Mapping[str, np.ndarray]
    steps: Mapping[str, np.ndarray]
    episodes: Mapping[str, np.ndarray]


def _chunks(
    rows: np.ndarray, ends: np.ndarray, steps: Mapping[str, np.ndarray], chunk: int
) -> tuple[np.ndarray, np.ndarray]:
    """Actions float32 [B, H, A], the last one repeated beyond the end, and which of them may be trained on [B, H]."""
    wanted = rows[:, None] + np.arange(chunk)
    taken = np.minimum(wanted, ends[:, None] - 1)
    valid = (wanted < steps["until"][rows][:, None]) & steps["trainable"][taken]
    return steps["action"][taken], valid


def _futures(rows: np.ndarray, ends: np.ndarray, view: _View, horizons: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Items [B, K] that show the steps `horizons` ahead, and which do so exactly [B, K]; else the last frame before."""
    wanted = rows[:, None] + np.array(horizons, dtype=np.int64)
    ahead = view.steps["frame"][np.minimum(wanted, ends[:, None] - 1)]
    return ahead, view.items["row"][ahead] == wanted
