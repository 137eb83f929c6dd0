"""Values, advantages and indicators of stored episodes, derived from the newest generation of annotations just as the
replay server derives them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ramp.advantage.config import AdvantageConfig
from ramp.replay.annotations import read_current
from ramp.replay.columns import frame_rows
from ramp.replay.labels import Labelled, Labels, derive
from ramp.replay.record import Seen
from ramp.replay.shelf import Shelf

MEANS = pa.schema(
    [
        ("annotation_version", pa.int64()),  # of the world model that gave the values
        ("mean_value", pa.float64()),  # over the frames; v of Eq. 8, the negative of the predicted remaining time
        ("mean_advantage", pa.float64()),  # over the frames
        ("positive_share", pa.float64()),  # of frames with indicator 1
    ]
)


@dataclass(frozen=True, slots=True)
class Generation:
    """Labels of one world model by episode."""

    version: int  # 0: there are none
    labels: Mapping[str, Labels]


def read_labels(shelf: Shelf, episodes: pa.Table, config: AdvantageConfig) -> Generation:
    """Labels of those rows of a SUMMARY that the newest generation names.

    Thresholds are taken over all of them, so give all episodes, even where one is asked for.
    """
    version, values, _ = read_current(shelf.directory / "annotations")
    rows = {row["episode_id"]: row for row in _rows(episodes) if row["episode_id"] in values}
    pieces: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
    for records in shelf.segments() if rows else []:
        for seen in records:
            if seen.mark.kind == "batch" and seen.mark.episode_id in rows:
                pieces[seen.mark.episode_id].append(_piece(seen))
    known = {name: _labelled(rows[name], found) for name, found in pieces.items()}
    return Generation(version, derive(known, {name: values[name][1] for name in known}, config))


def _rows(episodes: pa.Table) -> list[dict[str, object]]:
    return episodes.select(["episode_id", "task", "max_steps", "success"]).to_pylist()


def _piece(seen: Seen) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rewards float32 [T], sources uint8 [T] and steps with frames int32 [F] of one batch."""
    reward, source, step = (seen.rows.column(name).to_numpy() for name in ("reward", "source", "frame_index"))
    return reward, source, step[frame_rows(seen.rows)]


def _labelled(row: Mapping[str, object], pieces: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Labelled:
    reward, source, frame_step = (np.concatenate(each) for each in zip(*pieces, strict=True))
    return Labelled(
        task=str(row["task"]),
        max_steps=int(str(row["max_steps"])),
        success=bool(row["success"]),
        reward=reward,
        source=source,
        frame_step=frame_step,
    )


def means(episode_ids: Sequence[str], generation: Generation) -> pa.Table:
    """A table of MEANS, a row per episode; null where it has no labels."""
    found = [_means(generation.labels.get(name), generation.version) for name in episode_ids]
    columns = zip(*found, strict=True) if found else [()] * len(MEANS)
    return pa.table([pa.array(list(column), kind) for column, kind in zip(columns, MEANS.types, strict=True)], MEANS)


def _means(labels: Labels | None, version: int) -> tuple[int, float, float, float] | tuple[None, None, None, None]:
    if labels is None:
        return None, None, None, None
    positive = float((labels.indicator == 1).mean())
    return version, float(labels.value.mean()), float(labels.advantage.mean()), positive
