"""Annotation generations beside the data: values of one world model, switched to by one rename.

    annotations/g000004-v3/part-0001.arrow     the generation's first COMMIT
                           part-0002.arrow     a COMMIT that extended it

A generation is written to a hidden directory, fsynced and renamed; the highest number is the current one. A process
that dies in between leaves the old generation in force.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from ramp.errors import Invalid
from ramp.replay import durable

logger = logging.getLogger(__name__)

COLUMNS = pa.schema(
    [("episode_id", pa.string()), ("step", pa.list_(pa.int32())), ("remaining", pa.list_(pa.float32()))]
)
NAME = re.compile(r"g(\d{6,})-v(\d+)")
KEEP = 3  # generations on disk

Values = dict[str, tuple[np.ndarray, np.ndarray]]
"""Episode -> (steps int32 [F], remaining float32 [F])."""


class Annotations:
    """The current generation in memory, and all recent ones on disk. Thread-safe."""

    def __init__(self, directory: Path) -> None:
        """Loads the newest generation and removes what a crash left half-written."""
        self._directory = directory
        self._lock = threading.Lock()
        durable.make_directory(directory)
        with durable.where_writable():
            self._tidy()
        self.version, self.values, self.damaged = read_current(directory)

    def _tidy(self) -> None:
        """What is left was perhaps not safe when the process before was killed; from here on it counts."""
        for leftover in [*self._directory.glob(".*"), *self._directory.glob("*/.*")]:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        for generation in _generations(self._directory):
            durable.sync(generation)
        durable.sync(self._directory)

    def commit(self, version: int, values: Values, *, extends: bool) -> Values:
        """Make `values` durable and current; all values of the resulting generation.

        Raises Invalid where `extends` names another world model than the current generation's; OSError from the disk,
        which leaves the current generation in force.
        """
        with self._lock:
            if extends and version != self.version:
                raise Invalid("extends", f"version {version}", f"the current generation is of version {self.version}")
            if extends:
                self._extend(values)
                merged = {**self.values, **values}
            else:
                self._replace(version, values)
                merged = dict(values)
            self.version, self.values = version, merged
            return merged

    def _extend(self, values: Values) -> None:
        current = _current(self._directory)
        assert current is not None
        number = 1 + max((int(part.stem.split("-")[1]) for part in current.glob("part-*.arrow")), default=0)
        hidden, part = current / f".part-{number:04d}.arrow", current / f"part-{number:04d}.arrow"
        try:
            _write(hidden, values)
            hidden.rename(part)
        except OSError:
            hidden.unlink(missing_ok=True)
            raise
        durable.sync(current)

    def _replace(self, version: int, values: Values) -> None:
        newest = _current(self._directory)
        number = 1 + (_numbers(newest)[0] if newest else 0)
        hidden = self._directory / f".g{number:06d}"
        try:
            hidden.mkdir()
            _write(hidden / "part-0001.arrow", values)
            durable.sync(hidden)
            hidden.rename(self._directory / f"g{number:06d}-v{version}")
        except OSError:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        durable.sync(self._directory)
        for old in sorted(_generations(self._directory), key=lambda path: _numbers(path)[0])[:-KEEP]:
            shutil.rmtree(old, ignore_errors=True)


def read_current(directory: Path) -> tuple[int, Values, int]:
    """Version and values of the newest generation, and how many of its parts could not be read. Changes nothing, so it
    may be called beside a running server; version 0 where there is none."""
    current = _current(directory)
    values, damaged = Values(), 0
    for part in sorted(current.glob("part-*.arrow")) if current else []:
        try:
            with pa.memory_map(str(part), "r") as file:
                values.update(_from_batch(pa.ipc.open_file(file).get_batch(0)))
        except (pa.ArrowException, OSError, ValueError) as error:
            damaged += 1
            logger.error("%s cannot be read (%s); its episodes count as unlabelled", part, error)
    return (_numbers(current)[1] if current else 0), values, damaged


def check_values(episode_id: str, steps: np.ndarray, remaining: np.ndarray, frame_step: np.ndarray) -> None:
    """Raises Invalid unless there is one finite value for every frame of the episode."""
    if not np.array_equal(steps, frame_step):
        raise Invalid(
            "step", f"{len(steps)} steps of {episode_id}", f"send its {len(frame_step)} steps with frames, ascending"
        )
    if remaining.shape != steps.shape or not np.isfinite(remaining).all():
        raise Invalid("remaining", f"{remaining.shape} or not finite", "send one finite number per step")


def _current(directory: Path) -> Path | None:
    return max(_generations(directory), key=lambda path: _numbers(path)[0], default=None)


def _generations(directory: Path) -> list[Path]:
    return [path for path in directory.glob("g*") if NAME.fullmatch(path.name)]


def _numbers(path: Path) -> tuple[int, int]:
    found = NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1]), int(found[2])


def _to_batch(values: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> pa.RecordBatch:
    offsets = np.cumsum([0] + [len(steps) for steps, _ in values.values()], dtype=np.int32)
    steps = np.concatenate([np.zeros(0, np.int32)] + [pair[0] for pair in values.values()]).astype(np.int32)
    remaining = np.concatenate([np.zeros(0, np.float32)] + [pair[1] for pair in values.values()]).astype(np.float32)
    schema = COLUMNS.with_metadata({"crc32": str(_checksum(list(values), np.diff(offsets), steps, remaining))})
    arrays = [
        pa.array(list(values), pa.string()),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(steps)),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(remaining)),
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _from_batch(batch: pa.RecordBatch) -> Values:
    """Raises ValueError, or an Arrow error, for what is not as it was written."""
    batch.validate(full=True)
    if not batch.schema.equals(COLUMNS) or any(column.null_count for column in batch.columns):
        raise ValueError("other columns, or nulls")
    names = batch.column("episode_id").to_pylist()
    steps, remaining = batch.column("step").flatten().to_numpy(), batch.column("remaining").flatten().to_numpy()
    lengths = batch.column("step").value_lengths().to_numpy()
    if not np.array_equal(lengths, batch.column("remaining").value_lengths().to_numpy()):
        raise ValueError("steps and values of different lengths")
    if int((batch.schema.metadata or {}).get(b"crc32", -1)) != _checksum(names, lengths, steps, remaining):
        raise ValueError("checksum disagrees")
    splits = np.cumsum(lengths)[:-1]
    pairs = zip(np.split(steps.copy(), splits), np.split(remaining.copy(), splits), strict=True)
    return dict(zip(names, pairs, strict=False))


def _checksum(names: list[str], lengths: np.ndarray, steps: np.ndarray, remaining: np.ndarray) -> int:
    """Over all that the file says: names, int32 [E] rows of each, int32 [F] steps, float32 [F] values."""
    value = zlib.crc32("\0".join(names).encode())
    for numbers in (lengths, steps, remaining):
        value = zlib.crc32(np.ascontiguousarray(numbers).data, value)
    return value


def _write(path: Path, values: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    batch = _to_batch(values)
    with path.open("wb") as file:
        with pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())
