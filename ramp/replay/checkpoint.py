"""What the segments cannot tell after a restart: how much was sampled and removed, and priorities set from outside.

One small file, replaced by rename. Losing it is harmless: the limiter then starts with no lead on either side, and
priorities start from their initial values.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.errors import Invalid, NotFound
from ramp.replay.priorities import Priorities
from ramp.replay.table import Table

logger = logging.getLogger(__name__)

COLUMNS = pa.schema(
    [
        ("table", pa.dictionary(pa.int32(), pa.string())),
        ("episode_id", pa.dictionary(pa.int32(), pa.string())),
        ("step", pa.int64()),
        ("priority", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    samples: Mapping[str, int] = field(default_factory=dict)  # by table
    removals: Mapping[str, int] = field(default_factory=dict)  # items, by table
    priorities: Mapping[str, Priorities] = field(default_factory=dict)  # by table


def of(tables: Mapping[str, Table]) -> Checkpoint:
    return Checkpoint(
        samples={name: table.limiter.samples for name, table in tables.items()},
        removals={name: table.limiter.removals for name, table in tables.items()},
        priorities={name: table.changed_priorities() for name, table in tables.items()},
    )


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Raises OSError; the file before stays as it was."""
    counters = {"samples": dict(checkpoint.samples), "removals": dict(checkpoint.removals)}
    schema = COLUMNS.with_metadata({name: json.dumps(count) for name, count in counters.items()})
    partial = path.with_name("." + path.name)
    with partial.open("wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(_batch(checkpoint.priorities).replace_schema_metadata(schema.metadata))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _batch(priorities: Mapping[str, Priorities]) -> pa.RecordBatch:
    """Texts once each, however many rows name them."""
    ids: list[str] = []
    codes: list[np.ndarray] = []
    for found in priorities.values():
        used, code = np.unique(found.episode, return_inverse=True)
        codes.append(code + len(ids))
        ids += [found.ids[each] for each in used.tolist()]
    counts = [len(found.step) for found in priorities.values()]
    arrays = [
        _texts(np.repeat(np.arange(len(counts)), counts), list(priorities)),
        _texts(_joined(codes), ids),
        pa.array(_joined([found.step for found in priorities.values()]).astype(np.int64)),
        pa.array(_joined([found.priority for found in priorities.values()]).astype(np.float64)),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=COLUMNS)


def _texts(codes: np.ndarray, texts: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(texts, pa.string()))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0), *parts])


def load(path: Path) -> Checkpoint:
    """An empty one where there is none, or where it cannot be read."""
    if not path.exists():
        return Checkpoint()
    try:
        with pa.OSFile(str(path), "r") as file:
            batch = pa.ipc.open_file(file).get_batch(0)
            batch.validate(full=True)
            known = batch.schema.metadata or {}
            samples, removals = (json.loads(known.get(name, b"{}")) for name in (b"samples", b"removals"))
            return Checkpoint(samples, removals, _priorities(batch))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        logger.warning("%s cannot be read (%s); sampling counters start afresh", path, error)
        return Checkpoint()


def _priorities(batch: pa.RecordBatch) -> dict[str, Priorities]:
    """Raises KeyError, ValueError, ArrowException where the columns are others."""
    if not batch.schema.equals(COLUMNS, check_metadata=False):
        raise ValueError(f"columns {batch.schema.names}")
    table, episode = (batch.column(name).indices.to_numpy() for name in ("table", "episode_id"))
    ids = batch.column("episode_id").dictionary.to_pylist()
    step, priority = (batch.column(name).to_numpy() for name in ("step", "priority"))
    rows = {name: table == code for code, name in enumerate(batch.column("table").dictionary.to_pylist())}
    return {name: Priorities(ids, episode[here], step[here], priority[here]) for name, here in rows.items()}


def stamp(tables: Mapping[str, Table]) -> object:
    """Equal to an earlier one where a checkpoint would say the same."""
    return {name: (table.limiter.samples, table.limiter.removals, table.changes) for name, table in tables.items()}


def restore(known: Checkpoint, tables: Mapping[str, Table]) -> None:
    """Set counters and priorities as they were."""
    for name, table in tables.items():
        table.limiter.restore(table.info().items, known.removals.get(name, 0), known.samples.get(name))
        _restore_priorities(table, known.priorities.get(name, Priorities.none()))


def _restore_priorities(table: Table, found: Priorities) -> None:
    """All, or none where one names an item that is not here."""
    try:
        table.update_priorities([found.ids[each] for each in found.episode.tolist()], found.step, found.priority)
    except (NotFound, Invalid) as error:
        logger.warning("priorities of table %s are not restored: %s", table.name, error)
