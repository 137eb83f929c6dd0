"""What lies in the segments, one row per ended episode: read from the records' headers and four columns of numbers.

Sums are taken over all steps of a segment at once, then over the batches of an episode. So memory holds one segment's
numbers and a row per batch, however many steps there are. Frames are counted, never read.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ramp.errors import Corrupt
from ramp.replay.columns import camera_column
from ramp.replay.notes import end_from_note, header_from_note
from ramp.replay.record import Seen
from ramp.replay.shelf import Shelf, Shelves
from ramp.types import EpisodeHeader, Outcome, Source

logger = logging.getLogger(__name__)

Columns = dict[str, np.ndarray]

NUMBERS = ["timestamp", "reward", "source", "policy_version"]
SUMMARY = pa.schema(
    [
        ("number", pa.int64()),  # place among all episodes, by the time at which they ended
        ("episode_id", pa.string()),
        ("task", pa.string()),
        ("instruction", pa.string()),
        ("robot", pa.string()),
        ("seed", pa.int64()),
        ("tables", pa.list_(pa.string())),  # of the replay server, e.g. demos, online
        ("outcome", pa.string()),  # success, failure
        ("success", pa.int8()),  # 1, 0
        ("steps", pa.int64()),
        ("max_steps", pa.int64()),  # the task's time limit
        ("ended_at", pa.float64()),  # seconds since 1970; null in segments that did not say yet
        ("seconds", pa.float64()),  # from the episode's beginning to its last step
        ("frames", pa.int64()),  # steps with camera pictures
        ("return", pa.float64()),  # sum of rewards, in units of steps
        ("interventions", pa.int64()),  # times that a person took over
        ("human_steps", pa.int64()),  # steps that a person drove
        ("intervention_rate", pa.float64()),  # human_steps over steps
        ("policy_version_min", pa.int64()),  # 0: no policy acted
        ("policy_version_max", pa.int64()),
    ]
)


def summarise_all(shelves: Shelves) -> pa.Table:
    """As `summarise`, of all shards; where there are several, `number` counts what they hold together."""
    tables = [summarise(shelf) for shelf in shelves.each]
    if len(tables) == 1:
        return tables[0]
    found = pa.concat_tables(tables).sort_by("ended_at")
    return found.set_column(0, SUMMARY.field(0), pa.array(np.arange(len(found))))


def summarise(shelf: Shelf) -> pa.Table:
    """A table of SUMMARY, in the order in which episodes ended; aborted, open and damaged ones are left out."""
    index, parts = _Index(), []
    for records in shelf.segments():
        batches = [(code, seen) for seen in records if (code := index.take(seen)) is not None]
        if batches:
            parts.append(_batch_sums([code for code, _ in batches], [seen for _, seen in batches]))
    if not parts:
        return SUMMARY.empty_table()
    batches_of = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _table(index, _episode_sums(batches_of))


class End(NamedTuple):
    """What an END says."""

    order: int  # among all ENDs
    outcome: Outcome
    steps: int
    ended_at: float | None  # seconds since 1970


NO_END = End(-1, Outcome.FAILURE, -1, None)


@dataclass(slots=True)
class _Index:
    """Episodes by the order of their OPENs, and what OPEN and END say."""

    codes: dict[str, int] = field(default_factory=dict)
    headers: list[EpisodeHeader] = field(default_factory=list)
    ends: dict[int, End] = field(default_factory=dict)  # by code

    def take(self, seen: Seen) -> int | None:
        """The code of the episode if the record holds steps of it."""
        mark = seen.mark
        try:
            if mark.kind == "open":
                self.headers.append(header_from_note(mark.note))
                self.codes[mark.episode_id] = len(self.headers) - 1
            code = self.codes.get(mark.episode_id)
            if mark.kind == "end" and code is not None:
                self.ends[code] = End(mark.number, *end_from_note(mark.note))
        except Corrupt as error:
            logger.error("episode %s: %s; it is left out", mark.episode_id, error)
            return None
        return code if mark.kind == "batch" and seen.rows.num_rows else None


def _batch_sums(codes: Sequence[int], batches: Sequence[Seen]) -> Columns:
    """[N] each: of every batch of one segment, what its episode's sums need."""
    lengths = np.array([seen.rows.num_rows for seen in batches])
    first = np.cumsum(lengths) - lengths
    last = first + lengths - 1
    rows = pa.Table.from_batches([seen.rows.select(NUMBERS) for seen in batches])
    timestamp, reward, source, version = (rows.column(name).to_numpy() for name in NUMBERS)
    human = source == Source.HUMAN
    takeover = human & ~np.append(False, human[:-1])
    takeover[first] = human[first]
    return {
        "episode": np.array(codes),
        "batch": np.array([seen.mark.number for seen in batches]),
        "steps": lengths,
        "frames": np.array([_frames(seen.rows) for seen in batches]),
        "seconds": timestamp[last],
        "return": np.add.reduceat(reward.astype(np.float64), first),
        "human_steps": np.add.reduceat(human.astype(np.int64), first),
        "interventions": np.add.reduceat(takeover.astype(np.int64), first),
        "human_first": human[first],
        "human_last": human[last],
        "policy_version_min": np.minimum.reduceat(version, first),
        "policy_version_max": np.maximum.reduceat(version, first),
    }


def _frames(rows: pa.RecordBatch) -> int:
    """How many rows carry frames; the record's header counts the others."""
    return rows.num_rows - rows.column(camera_column(rows.schema)).null_count


def _episode_sums(batches: Columns) -> Columns:
    """[E] each: over the batches of every episode, by ascending code. `whole`: no batch is missing."""
    order = np.argsort(batches["episode"], kind="stable")
    batches = {name: column[order] for name, column in batches.items()}
    codes, first, counts = np.unique(batches["episode"], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, counts)
    held_on = batches["human_first"] & np.append(False, batches["human_last"][:-1]) & (rank > 0)
    summed = {name: np.add.reduceat(batches[name], first) for name in ("steps", "frames", "return", "human_steps")}
    return summed | {
        "episode": codes,
        "whole": np.logical_and.reduceat(batches["batch"] == rank, first),
        "seconds": batches["seconds"][first + counts - 1],
        "interventions": np.add.reduceat(batches["interventions"] - held_on, first),
        "policy_version_min": np.minimum.reduceat(batches["policy_version_min"], first),
        "policy_version_max": np.maximum.reduceat(batches["policy_version_max"], first),
    }


def _table(index: _Index, sums: Columns) -> pa.Table:
    """The ended and whole episodes as rows of SUMMARY."""
    ends = [index.ends.get(code, NO_END) for code in sums["episode"].tolist()]
    order, outcomes, declared, ended_at = zip(*ends, strict=True)
    number = np.array(order)
    kept = np.flatnonzero(sums["whole"] & (sums["steps"] == np.array(declared, dtype=np.int64)))
    kept = kept[np.argsort(number[kept])]
    headers = [index.headers[code] for code in sums["episode"][kept].tolist()]
    outcome = [outcomes[row] for row in kept.tolist()]
    success = [int(each == Outcome.SUCCESS) for each in outcome]
    columns: dict[str, Any] = {name: column[kept] for name, column in sums.items()}
    told = ("episode_id", "task", "instruction", "robot", "seed", "max_steps", "tables")
    columns |= {name: [getattr(header, name) for header in headers] for name in told}
    columns |= {"number": number[kept], "outcome": outcome, "success": success}
    columns["ended_at"] = [ended_at[row] for row in kept.tolist()]
    columns["intervention_rate"] = columns["human_steps"] / columns["steps"]
    return pa.table([pa.array(columns[each.name], each.type) for each in SUMMARY], schema=SUMMARY)
