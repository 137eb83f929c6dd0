"""What a table knows of its episodes, as columns: everything but the pixels, which stay in the segments.

N steps, M items (steps with a frame), E episodes, C cameras.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from ramp.advantage.interventions import segment_ends
from ramp.replay.entry import FramePlaces
from ramp.replay.growing import Growing
from ramp.replay.labels import Labels, unlabelled
from ramp.types import EpisodeHeader, Outcome, StepBatch, StepSchema

LABELS = ("value", "advantage", "indicator", "annotation_version")


@dataclass(frozen=True, slots=True)
class Texts:
    """What there is of words: per episode ids, tasks and instructions; subgoals, which steps name by number; segments,
    which items name by number. Lists only grow; where something is forgotten, there are new ones."""

    ids: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    instructions: list[str] = field(default_factory=list)
    subgoals: list[str] = field(default_factory=list)
    segments: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class View:
    """The columns at one moment: whatever changes later does not reach it."""

    schema: StepSchema
    items: Mapping[str, np.ndarray]
    steps: Mapping[str, np.ndarray]
    episodes: Mapping[str, np.ndarray]
    texts: Texts


class Memory:
    """Not thread-safe; `ramp.replay.table.Table` serialises its callers."""

    def __init__(self, schema: StepSchema) -> None:
        self.schema = schema
        self.texts = Texts()
        self.index: dict[str, int] = {}  # of every episode, by id
        self._numbers: dict[tuple[str, str], int] = {}  # of every subgoal and segment
        self.episodes = {
            "length": Growing(np.int32),
            "max_steps": Growing(np.int32),
            "success": Growing(np.bool_),
            "begin": Growing(np.int64),  # first step in the step columns
            "first_item": Growing(np.int64),
        }
        self.items = {
            "episode": Growing(np.int64),
            "row": Growing(np.int64),  # in the step columns
            "segment": Growing(np.int32),
            "offset": Growing(np.int64, (len(schema.cameras),)),
            "length": Growing(np.int32, (len(schema.cameras),)),  # bytes from there
            "value": Growing(np.float32),
            "advantage": Growing(np.float32),
            "indicator": Growing(np.int8),
            "annotation_version": Growing(np.int32),
        }
        self.steps = {
            "proprio": Growing(np.float32, (schema.proprio_width,)),
            "action": Growing(np.float32, (schema.action_width,)),
            "source": Growing(np.uint8),
            "trainable": Growing(np.bool_),
            "policy_version": Growing(np.int32),
            "until": Growing(np.int64),  # first row at which someone else acts, or the episode is over
            "frame": Growing(np.int64),  # item at this row or before it
            "subgoal": Growing(np.int32),
            "hand": Growing(np.float32, (2,)),
        }

    def view(self) -> View:
        return View(self.schema, _views(self.items), _views(self.steps), _views(self.episodes), self.texts)

    # ------------------------------------------------------------------------------------------- insert

    def insert(
        self,
        header: EpisodeHeader,
        outcome: Outcome,
        steps: StepBatch,
        places: FramePlaces,
        labels: Labels | None,
        version: int,
    ) -> None:
        """An ended episode behind the present ones. `steps` may come without images; labels None: it has none."""
        begin, first = len(self.steps["source"]), len(self.items["row"])
        self._insert_episode(header, outcome, len(steps), begin, first)
        self._insert_steps(steps, begin, first)
        self._insert_items(steps, places, begin)
        self._append_labels(labels, steps.source[steps.frame_row], version)

    def _insert_episode(self, header: EpisodeHeader, outcome: Outcome, length: int, begin: int, first: int) -> None:
        self.index[header.episode_id] = len(self.texts.ids)
        self.texts.ids.append(header.episode_id)
        self.texts.tasks.append(header.task)
        self.texts.instructions.append(header.instruction)
        values = (length, header.max_steps, outcome is Outcome.SUCCESS, begin, first)
        for column, value in zip(self.episodes.values(), values, strict=True):
            column.append(np.array([value]))

    def _insert_steps(self, steps: StepBatch, begin: int, first: int) -> None:
        for name in ("proprio", "action", "source", "trainable", "policy_version"):
            self.steps[name].append(getattr(steps, name))
        self.steps["until"].append(begin + segment_ends(steps.source))
        shown = np.searchsorted(steps.frame_row, np.arange(len(steps)), side="right") - 1
        self.steps["frame"].append(first + np.maximum(shown, 0))
        self._insert_thoughts(steps)

    def _insert_thoughts(self, steps: StepBatch) -> None:
        """Of an episode without labels: that nobody knows."""
        texts = [""] * len(steps) if steps.subgoal is None else steps.subgoal.tolist()
        hand = np.full((len(steps), 2), np.nan, np.float32) if steps.hand is None else steps.hand
        self.steps["subgoal"].append(self._numbered("subgoals", texts))
        self.steps["hand"].append(hand)

    def _insert_items(self, steps: StepBatch, places: FramePlaces, begin: int) -> None:
        self.items["episode"].append(np.full(len(steps.frame_row), len(self.texts.ids) - 1))
        self.items["row"].append(begin + steps.frame_row.astype(np.int64))
        self.items["segment"].append(self._numbered("segments", places.segment))
        self.items["offset"].append(places.offset)
        self.items["length"].append(places.length)

    def _numbered(self, kind: str, texts: Sequence[str]) -> np.ndarray:
        """Each text by its number among all of that kind, int32; new ones get one."""
        known: list[str] = getattr(self.texts, kind)
        for text in dict.fromkeys(texts):
            if (kind, text) not in self._numbers:
                self._numbers[kind, text] = len(known)
                known.append(text)
        return np.array([self._numbers[kind, text] for text in texts], np.int32)

    def _append_labels(self, labels: Labels | None, source: np.ndarray, version: int) -> None:
        known = labels or unlabelled(source)
        for name in ("value", "advantage", "indicator"):
            self.items[name].append(getattr(known, name))
        self.items["annotation_version"].append(np.full(len(source), version if labels else 0, np.int32))

    # ------------------------------------------------------------------------------------------- change

    def relabel(self, labels: Mapping[str, Labels], version: int) -> None:
        """All items anew; episodes that `labels` does not name lose theirs."""
        rows, source = self.items["row"].view, self.steps["source"].view
        for name in LABELS:
            self.items[name] = Growing(self.items[name].view.dtype)
        for number, episode_id in enumerate(self.texts.ids):
            items = self.items_of(number)
            self._append_labels(labels.get(episode_id), source[rows[items.start : items.stop]], version)

    def items_of(self, number: int) -> range:
        """The items of an episode."""
        firsts = self.episodes["first_item"].view
        last = firsts[number + 1] if number + 1 < len(firsts) else len(self.items["row"])
        return range(int(firsts[number]), int(last))

    def items_at(self, episode_ids: Sequence[str], steps: np.ndarray) -> np.ndarray:
        """The item at each of these steps (int64 [M]) of these episodes; int64 [M], -1 where there is none."""
        numbers = np.fromiter(map(self.index.get, episode_ids, repeat(-1)), np.int64, len(episode_ids))
        found = np.full(len(numbers), -1, np.int64)
        lengths, begins = self.episodes["length"].view, self.episodes["begin"].view
        here = np.flatnonzero(numbers >= 0)
        here = here[(steps[here] >= 0) & (steps[here] < lengths[numbers[here]])]
        rows = begins[numbers[here]] + steps[here]
        items = self.steps["frame"].view[rows]
        found[here] = np.where(self.items["row"].view[items] == rows, items, -1)
        return found

    def repoint(self, moved: Mapping[str, FramePlaces]) -> None:
        """Frames of these episodes lie elsewhere now. The columns are copied: somebody may be reading the old ones."""
        segment, offset = (self.items[name].view.copy() for name in ("segment", "offset"))
        for episode_id, places in moved.items():
            if episode_id in self.index:
                items = self.items_of(self.index[episode_id])
                segment[items.start : items.stop] = self._numbered("segments", places.segment)
                offset[items.start : items.stop] = places.offset
        self.items["segment"], self.items["offset"] = Growing.of(segment), Growing.of(offset)

    # ------------------------------------------------------------------------------------------- forget

    def without(self, gone: Collection[str]) -> tuple[Memory, np.ndarray]:
        """A memory that never knew these episodes, and the number there of each item here; int64 [M], -1: none."""
        kept = np.array([each not in gone for each in self.texts.ids], bool)
        lengths = self.episodes["length"].view
        items = kept[self.items["episode"].view]
        steps = np.repeat(kept, lengths)
        to_item, to_row, to_episode = _renumbered(items), _renumbered(steps), _renumbered(kept)
        other = Memory(self.schema)
        self._copy_texts(other, kept)
        other.steps = {name: Growing.of(column.view[steps]) for name, column in self.steps.items()}
        other.items = {name: Growing.of(column.view[items]) for name, column in self.items.items()}
        other.episodes = {name: Growing.of(column.view[kept]) for name, column in self.episodes.items()}
        other.items["episode"] = Growing.of(to_episode[other.items["episode"].view])
        other.items["row"] = Growing.of(to_row[other.items["row"].view])
        other.steps["frame"] = Growing.of(to_item[other.steps["frame"].view])
        until = other.steps["until"].view
        other.steps["until"] = Growing.of(to_row[until - 1] + 1)  # the row before it is the episode's
        other.episodes["begin"] = Growing.of(to_row[other.episodes["begin"].view])
        other.episodes["first_item"] = Growing.of(to_item[other.episodes["first_item"].view])
        return other, to_item

    def _copy_texts(self, other: Memory, kept: np.ndarray) -> None:
        for number in np.flatnonzero(kept).tolist():
            for name in ("ids", "tasks", "instructions"):
                getattr(other.texts, name).append(getattr(self.texts, name)[number])
        other.index.update({episode_id: number for number, episode_id in enumerate(other.texts.ids)})
        other.texts.subgoals.extend(self.texts.subgoals)
        other.texts.segments.extend(self.texts.segments)
        other._numbers.update(self._numbers)


def _views(columns: Mapping[str, Growing]) -> dict[str, np.ndarray]:
    return {name: column.view for name, column in columns.items()}


def _renumbered(kept: np.ndarray) -> np.ndarray:
    """The new number of each of the `kept`, bool [N], in order; int64 [N], -1 of the others."""
    return np.where(kept, np.cumsum(kept) - 1, -1)
