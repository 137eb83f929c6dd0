"""What the segments cannot tell after a restart: how much was sampled and removed, and priorities set from outside.

One small file, replaced by rename: its CRC-32 as a line of text, then an Arrow file. Losing it is harmless: the limiter
then starts with no lead on either side, and priorities start from their initial values.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

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


HEAD = 9  # bytes


def _head(content: bytes | pa.Buffer) -> bytes:
    """CRC-32 of all that follows: a flipped bit in a counter would hold learners or producers for good."""
    return b"%08x\n" % zlib.crc32(content)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    samples: Mapping[str, int] = field(default_factory=dict)  # by table
    removals: Mapping[str, int] = field(default_factory=dict)  # items of deleted episodes, by table
    priorities: Mapping[str, Priorities] = field(default_factory=dict)  # by table


def of(tables: Mapping[str, Table]) -> Checkpoint:
    return Checkpoint(
        samples={name: table.limiter.samples for name, table in tables.items()},
        removals={name: table.forgotten for name, table in tables.items()},
        priorities={name: table.changed_priorities() for name, table in tables.items()},
    )


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Raises OSError; the file before stays as it was."""
    counters = {"samples": dict(checkpoint.samples), "removals": dict(checkpoint.removals)}
    schema = COLUMNS.with_metadata({"counters": json.dumps(counters)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(_batch(checkpoint.priorities).replace_schema_metadata(schema.metadata))
    content, partial = sink.getvalue(), path.with_name("." + path.name)
    with partial.open("wb") as file:
        file.write(_head(content))
        file.write(content)
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
        with path.open("rb") as file:
            head, content = file.read(HEAD), file.read()
        if head != _head(content):
            raise ValueError("the checksum disagrees")
        batch = pa.ipc.open_file(content).get_batch(0)
        batch.validate(full=True)
        counters = json.loads(batch.schema.metadata[b"counters"])
        return Checkpoint(counters["samples"], counters["removals"], _priorities(batch))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
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
    return {name: (table.limiter.samples, table.forgotten, table.changes) for name, table in tables.items()}


def restore(known: Checkpoint, tables: Mapping[str, Table]) -> None:
    """Set counters and priorities as they were."""
    for name, table in tables.items():
        found = known.priorities.get(name, Priorities.none())
        table.restore(known.removals.get(name, 0), known.samples.get(name), found)
