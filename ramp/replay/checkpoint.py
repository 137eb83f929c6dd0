"""What the segments cannot tell after a restart: how much was sampled and removed, and priorities set from outside.

One small file, replaced by rename: its CRC-32 as a line of text, then an Arrow file. Losing it is harmless: the limiter
then starts with no lead on either side, and priorities start from their initial values.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from ramp.replay.table import Table

logger = logging.getLogger(__name__)

COLUMNS = pa.schema(
    [("table", pa.string()), ("episode_id", pa.string()), ("step", pa.int64()), ("priority", pa.float64())]
)


HEAD = 9  # bytes


def _head(content: bytes) -> bytes:
    """CRC-32 of all that follows: a flipped bit in a counter would hold learners or producers for good."""
    return b"%08x\n" % zlib.crc32(content)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    samples: Mapping[str, int] = field(default_factory=dict)  # by table
    removals: Mapping[str, int] = field(default_factory=dict)  # items of deleted episodes, by table
    priorities: Mapping[str, list[tuple[str, int, float]]] = field(default_factory=dict)  # (episode, step, priority)


def of(tables: Mapping[str, Table]) -> Checkpoint:
    return Checkpoint(
        samples={name: table.limiter.samples for name, table in tables.items()},
        removals={name: table.forgotten for name, table in tables.items()},
        priorities={name: table.changed_priorities() for name, table in tables.items()},
    )


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Raises OSError; the file before stays as it was."""
    rows = [(table, *row) for table, found in checkpoint.priorities.items() for row in found]
    columns: Iterable[tuple[object, ...]] = zip(*rows, strict=True) if rows else [(), (), (), ()]
    arrays = [pa.array(list(column), kind) for column, kind in zip(columns, COLUMNS.types, strict=True)]
    counters = {"samples": dict(checkpoint.samples), "removals": dict(checkpoint.removals)}
    schema = COLUMNS.with_metadata({"counters": json.dumps(counters)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    content, partial = sink.getvalue().to_pybytes(), path.with_name("." + path.name)
    with partial.open("wb") as file:
        file.write(_head(content))
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def load(path: Path) -> Checkpoint:
    """An empty one where there is none, or where it cannot be read."""
    if not path.exists():
        return Checkpoint()
    try:
        head, content = (data := path.read_bytes())[:HEAD], data[HEAD:]
        if head != _head(content):
            raise ValueError("the checksum disagrees")
        batch = pa.ipc.open_file(content).get_batch(0)
        counters = json.loads(batch.schema.metadata[b"counters"])
        rows = list(zip(*(batch.column(name).to_pylist() for name in COLUMNS.names), strict=True))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s cannot be read (%s); sampling counters start afresh", path, error)
        return Checkpoint()
    priorities: dict[str, list[tuple[str, int, float]]] = {}
    for table, episode_id, step, priority in rows:
        priorities.setdefault(table, []).append((episode_id, step, priority))
    return Checkpoint(counters["samples"], counters["removals"], priorities)


def restore(known: Checkpoint, tables: Mapping[str, Table]) -> None:
    """Set counters and priorities as they were."""
    for name, table in tables.items():
        table.restore(known.removals.get(name, 0), known.samples.get(name), known.priorities.get(name, []))
