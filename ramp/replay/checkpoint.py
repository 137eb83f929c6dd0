"""What the segments cannot tell after a restart: how much was sampled and removed, and priorities set from outside.

One small file, replaced by rename. Losing it is harmless: the limiter then starts with no lead on either side, and
priorities start from their initial values.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.errors import Invalid, NotFound
from ramp.replay.table import Table

logger = logging.getLogger(__name__)

COLUMNS = pa.schema(
    [("table", pa.string()), ("episode_id", pa.string()), ("step", pa.int64()), ("priority", pa.float64())]
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    samples: Mapping[str, int] = field(default_factory=dict)  # by table
    removals: Mapping[str, int] = field(default_factory=dict)  # items, by table
    priorities: Mapping[str, list[tuple[str, int, float]]] = field(default_factory=dict)  # (episode, step, priority)


def of(tables: Mapping[str, Table]) -> Checkpoint:
    return Checkpoint(
        samples={name: table.limiter.samples for name, table in tables.items()},
        removals={name: table.limiter.removals for name, table in tables.items()},
        priorities={name: table.changed_priorities() for name, table in tables.items()},
    )


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Raises OSError; the file before stays as it was."""
    rows = [(table, *row) for table, found in checkpoint.priorities.items() for row in found]
    columns: Iterable[tuple[object, ...]] = zip(*rows, strict=True) if rows else [(), (), (), ()]
    counters = {"samples": dict(checkpoint.samples), "removals": dict(checkpoint.removals)}
    schema = COLUMNS.with_metadata({name: json.dumps(count) for name, count in counters.items()})
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, COLUMNS.types, strict=True)]
    partial = path.with_name("." + path.name)
    with partial.open("wb") as file:
        with pa.ipc.new_file(file, schema) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


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
            rows = list(zip(*(batch.column(name).to_pylist() for name in COLUMNS.names), strict=True))
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        logger.warning("%s cannot be read (%s); sampling counters start afresh", path, error)
        return Checkpoint()
    priorities: dict[str, list[tuple[str, int, float]]] = {}
    for table, episode_id, step, priority in rows:
        priorities.setdefault(table, []).append((episode_id, step, priority))
    return Checkpoint(samples, removals, priorities)


def restore(known: Checkpoint, tables: Mapping[str, Table]) -> None:
    """Set counters and priorities as they were."""
    for name, table in tables.items():
        table.limiter.restore(table.info().items, known.removals.get(name, 0), known.samples.get(name))
        _restore_priorities(table, known.priorities.get(name, []))


def _restore_priorities(table: Table, rows: list[tuple[str, int, float]]) -> None:
    if rows:
        ids, steps, priorities = zip(*rows, strict=True)
        try:
            table.update_priorities(ids, steps, np.array(priorities))
        except (NotFound, Invalid) as error:
            logger.warning("priorities of table %s are not restored: %s", table.name, error)
