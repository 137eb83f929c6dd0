"""What LeRobot has no column for, as parquet beside the data: files under meta/ that its library does not look at.

    meta/ramp_episodes.parquet        episode_id, task, robot, seed, max_steps, tables, success, action_low, action_high
    meta/ramp_steps.parquet           time (float64), policy_version, has_frame: other rows show the last frame again
    meta/ramp_interventions.parquet   is_intervention, source (0 policy, 1 human, 2 demo, 3 dream), trainable
    meta/ramp_thoughts.parquet        subgoal, hand_x, hand_y (nan: not seen), of the episodes that have them
    meta/advantages_vN.parquet        value, advantage, indicator by world model N, at rows with a frame

All begin with episode_index, and but for the first with frame_index; rows are in their order.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ramp.datasets.index import read_parquet
from ramp.datasets.layout import wrong
from ramp.replay.labels import Labels
from ramp.types import Episode, Outcome, Source

EPISODES, STEPS, INTERVENTIONS, THOUGHTS = "ramp_episodes", "ramp_steps", "ramp_interventions", "ramp_thoughts"
REMEDY = "remove the file to read the folder without it"
WHERE = [("episode_index", pa.int64()), ("frame_index", pa.int64())]
NUMBERS = pa.list_(pa.float64())
COLUMNS = {
    EPISODES: pa.schema(
        [
            ("episode_index", pa.int64()),
            ("episode_id", pa.string()),
            ("task", pa.string()),
            ("robot", pa.string()),
            ("seed", pa.int64()),
            ("max_steps", pa.int64()),
            ("tables", pa.list_(pa.string())),
            ("success", pa.bool_()),
            ("action_low", NUMBERS),
            ("action_high", NUMBERS),
        ]
    ),
    STEPS: pa.schema([*WHERE, ("time", pa.float64()), ("policy_version", pa.int32()), ("has_frame", pa.bool_())]),
    INTERVENTIONS: pa.schema(
        [*WHERE, ("is_intervention", pa.bool_()), ("source", pa.uint8()), ("trainable", pa.bool_())]
    ),
    THOUGHTS: pa.schema([*WHERE, ("subgoal", pa.string()), ("hand_x", pa.float32()), ("hand_y", pa.float32())]),
}
LABELS = pa.schema([*WHERE, ("value", pa.float32()), ("advantage", pa.float32()), ("indicator", pa.int8())])


class SidecarWriter:
    """The files of a folder that is being written. `label_version` names the world model of the labels."""

    def __init__(self, folder: Path, label_version: int) -> None:
        self._writers = {
            name: pq.ParquetWriter(folder / "meta" / f"{name}.parquet", schema) for name, schema in COLUMNS.items()
        }
        self._labels = f"advantages_v{label_version}"
        self._folder = folder

    def add(self, index: int, episode: Episode, labels: Labels | None) -> None:
        self._write(EPISODES, _episode_row(index, episode))
        steps = episode.steps
        at = {"episode_index": np.full(len(steps), index), "frame_index": steps.step}
        has_frame = np.isin(np.arange(len(steps)), steps.frame_row)
        self._write(
            STEPS, at | {"time": steps.timestamp, "policy_version": steps.policy_version, "has_frame": has_frame}
        )
        human = steps.source == Source.HUMAN
        self._write(
            INTERVENTIONS, at | {"is_intervention": human, "source": steps.source, "trainable": steps.trainable}
        )
        if steps.subgoal is not None and steps.hand is not None:
            thoughts = {"subgoal": steps.subgoal, "hand_x": steps.hand[:, 0], "hand_y": steps.hand[:, 1]}
            self._write(THOUGHTS, at | thoughts)
        if labels is not None:
            self._add_labels({name: values[steps.frame_row] for name, values in at.items()}, labels)

    def _add_labels(self, at: dict[str, np.ndarray], labels: Labels) -> None:
        if self._labels not in self._writers:  # only a folder with labels has the file
            path = self._folder / "meta" / f"{self._labels}.parquet"
            self._writers[self._labels] = pq.ParquetWriter(path, LABELS)
        columns = {name: getattr(labels, name) for name in ("value", "advantage", "indicator")}
        self._write(self._labels, at | columns)

    def _write(self, name: str, columns: Mapping[str, Any]) -> None:
        writer = self._writers[name]
        writer.write_table(pa.table(dict(columns), schema=writer.schema))

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


def _episode_row(index: int, episode: Episode) -> dict[str, list[Any]]:
    header = episode.header
    return {
        "episode_index": [index],
        "episode_id": [header.episode_id],
        "task": [header.task],
        "robot": [header.robot],
        "seed": [header.seed],
        "max_steps": [header.max_steps],
        "tables": [list(header.tables)],
        "success": [episode.outcome is Outcome.SUCCESS],
        "action_low": [list(header.schema.action_low)],
        "action_high": [list(header.schema.action_high)],
    }


class Sidecars:
    """The files of a folder that is being read; a stranger's has none of them."""

    def __init__(self, folder: Path) -> None:
        """Raises Invalid for a file with other columns."""
        self._tables = {name: _load(folder, name) for name in COLUMNS}
        self._index = {
            name: table["episode_index"].to_numpy() for name, table in self._tables.items() if table is not None
        }

    def episode(self, index: int) -> dict[str, Any]:
        """One row of ramp_episodes; empty where there is none. Raises Invalid."""
        rows = self._rows(EPISODES, index, 1)
        return rows.to_pylist()[0] if rows is not None else {}

    def column(self, name: str, file: str, index: int, length: int) -> np.ndarray | None:
        """[length] of an episode; None where the folder has no such file, or no thoughts of it. Raises Invalid."""
        rows = self._rows(file, index, length)
        if rows is None:
            return None
        if not np.array_equal(rows["frame_index"].to_numpy(), np.arange(length)):
            raise wrong(f"meta/{file}.parquet", "frame_index", f"not 0 to {length - 1} in episode {index}", REMEDY)
        return rows[name].to_numpy()

    def _rows(self, name: str, index: int, length: int) -> pa.Table | None:
        table = self._tables[name]
        if table is None:
            return None
        begin, end = np.searchsorted(self._index[name], [index, index + 1])
        if begin == end and name == THOUGHTS:
            return None
        if end - begin != length:
            raise wrong(
                f"meta/{name}.parquet", "episode_index", f"{end - begin} rows of episode {index}, not {length}", REMEDY
            )
        return table.slice(begin, length)


def _load(folder: Path, name: str) -> pa.Table | None:
    path, shown = folder / "meta" / f"{name}.parquet", f"meta/{name}.parquet"
    if not path.exists():
        return None
    table = read_parquet(path, shown)
    if not table.schema.equals(COLUMNS[name]):
        raise wrong(shown, "columns", str(table.schema.names)[:160], REMEDY)
    if any(column.null_count for column in table.columns):
        raise wrong(shown, "columns", "null", REMEDY)
    return table
