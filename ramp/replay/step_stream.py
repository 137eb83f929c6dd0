"""The steps of stored episodes as a stream of Arrow record batches, one per segment, as often as somebody asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from ramp.replay.columns import frame_rows
from ramp.replay.labelled import Generation
from ramp.replay.record import Seen
from ramp.replay.shelf import Shelf, Shelves
from ramp.types import UNLABELLED, Source

STEPS = pa.schema(
    [
        ("episode_id", pa.dictionary(pa.int32(), pa.string())),
        ("step", pa.int32()),  # from 0 within the episode
        ("seconds", pa.float64()),  # since the episode began
        ("reward", pa.float32()),
        ("source", pa.dictionary(pa.uint8(), pa.string())),  # who acted: policy, human, demo, dream
        ("trainable", pa.bool_()),  # false at an artefact of a takeover
        ("policy_version", pa.int32()),
        ("frame", pa.bool_()),  # whether there are pictures of this step
        ("state", pa.list_(pa.float32())),  # proprioception before the action
        ("action", pa.list_(pa.float32())),  # what was executed
        ("value", pa.float32()),  # these three are null at steps without frames and where there are no labels
        ("advantage", pa.float32()),
        ("indicator", pa.int8()),
    ]
)
COPIED = {"step": "frame_index", "seconds": "timestamp", "reward": "reward", "trainable": "trainable"}
COPIED |= {"policy_version": "policy_version", "state": "observation.state", "action": "action"}
"""Column of STEPS -> column of a segment."""
SOURCES = pa.array([source.name.lower() for source in Source])


class StepStream:
    """All steps of some episodes, for any Arrow consumer, again and again. Memory holds one segment's numbers."""

    def __init__(
        self, shelf: Shelf | Shelves, episode_ids: Sequence[str], generation: Callable[[], Generation]
    ) -> None:
        """`generation` is asked for at the first read."""
        self._shelf, self._generation = shelf, generation
        self._codes = {name: row for row, name in enumerate(episode_ids)}
        self._names = pa.array(episode_ids, pa.string())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Arrow's PyCapsule interface: a new stream from the beginning."""
        return pa.RecordBatchReader.from_batches(STEPS, self._read()).__arrow_c_stream__(requested_schema)

    def _read(self) -> Iterator[pa.RecordBatch]:
        generation = self._generation()
        frames: dict[str, int] = defaultdict(int)  # frames of each episode that were passed
        for records in self._shelf.segments():
            batches = [seen for seen in records if seen.mark.kind == "batch" and seen.mark.episode_id in self._codes]
            if batches:
                yield self._rows(batches, generation, frames)

    def _rows(self, batches: Sequence[Seen], generation: Generation, frames: dict[str, int]) -> pa.RecordBatch:
        lengths = [seen.rows.num_rows for seen in batches]
        present = np.concatenate([frame_rows(seen.rows) for seen in batches])
        rows = pa.Table.from_batches([seen.rows.select([*COPIED.values(), "source"]) for seen in batches])
        codes = np.repeat([self._codes[seen.mark.episode_id] for seen in batches], lengths).astype(np.int32)
        source = rows["source"].combine_chunks()
        columns = {ours: rows[theirs].combine_chunks().cast(STEPS.field(ours).type) for ours, theirs in COPIED.items()}
        columns["episode_id"] = pa.DictionaryArray.from_arrays(pa.array(codes), self._names)
        columns["source"] = pa.DictionaryArray.from_arrays(source, SOURCES)
        columns["frame"] = pa.array(present)
        columns |= _label_columns(batches, present, generation, frames)
        return pa.RecordBatch.from_arrays([columns[name] for name in STEPS.names], schema=STEPS)


def _label_columns(
    batches: Sequence[Seen], present: np.ndarray, generation: Generation, frames: dict[str, int]
) -> dict[str, pa.Array]:
    """Value, advantage and indicator at the steps that carry frames."""
    found: dict[str, list[np.ndarray]] = {"value": [], "advantage": [], "indicator": []}
    for seen in batches:
        name, count = seen.mark.episode_id, int(frame_rows(seen.rows).sum())
        first, frames[name] = frames[name], frames[name] + count
        labels = generation.labels.get(name)
        for column, parts in found.items():
            parts.append(_nothing(column, count) if labels is None else getattr(labels, column)[first : first + count])
    return {column: _spread(np.concatenate(parts), present, column) for column, parts in found.items()}


def _nothing(column: str, count: int) -> np.ndarray:
    return np.full(count, UNLABELLED, np.int8) if column == "indicator" else np.full(count, np.nan, np.float32)


def _spread(values: np.ndarray, present: np.ndarray, column: str) -> pa.Array:
    """At every row [T] the value of its frame [F], null at the others and where there is none."""
    rows = np.zeros(len(present), values.dtype)
    rows[present] = values
    missing = ~present
    missing[present] = values == UNLABELLED if column == "indicator" else np.isnan(values)
    return pa.array(rows, STEPS.field(column).type, mask=missing)
