"""A Reverb client, in Reverb's own environment: python -m benchmarks.peers.reverb_client ADDRESS

Reads requests and answers them (benchmarks/peers/lines.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import reverb
import tensorflow as tf

from benchmarks.peers import workload
from benchmarks.peers.lines import Answer, Probe, latencies, serve, timed

AHEAD = 10  # samples under way, per worker of a data set
SHAPES = {name: rows.shape[1:] for name, rows in workload.episode().items()}
TYPES = {name: tf.as_dtype(rows.dtype) for name, rows in workload.episode().items()}


class Reverb:
    """What the bench asks of it."""

    def __init__(self, address: str) -> None:
        self._address, self._client = address, reverb.Client(address)
        columns = workload.episode()
        self._steps = [{name: rows[step] for name, rows in columns.items()} for step in range(workload.STEPS)]
        self._probe: Probe | None = None

    def append(self, episodes: int) -> Answer:
        """Whole episodes, an item for every window; returns when the server has them all in memory."""
        return timed(lambda: self._append(episodes))

    def _append(self, episodes: int) -> Answer:
        with self._client.trajectory_writer(num_keep_alive_refs=workload.WINDOW + 1) as writer:
            for _ in range(episodes):
                self._write(writer, self._steps)
            writer.flush()
        return workload.moved(episodes * workload.STEPS)

    def _write(self, writer: Any, steps: list[dict[str, np.ndarray]]) -> None:
        for number, step in enumerate(steps, start=1):
            writer.append(step)
            if number % workload.WINDOW == 0:
                window = {name: writer.history[name][-workload.WINDOW :] for name in step}
                writer.create_item("steps", 1.0, window)
        writer.end_episode()

    def sample(self, road: str, batches: int) -> Answer:
        """By the `client`, or by `tf.data`, which reads ahead."""
        steps = {"client": self._by_client, "tf.data": self._by_data_set}[road]()
        next(steps)
        return timed(lambda: workload.moved(sum(next(steps) for _ in range(batches))))

    def _by_client(self) -> Iterator[int]:
        while True:
            drawn = self._client.sample("steps", num_samples=1000, emit_timesteps=False)
            while sum(1 for _ in islice(drawn, workload.BATCH)) == workload.BATCH:
                yield workload.BATCH * workload.WINDOW

    def _by_data_set(self) -> Iterator[int]:
        shapes = {name: tf.TensorShape([None, *shape]) for name, shape in SHAPES.items()}
        found = reverb.TrajectoryDataset(self._address, "steps", TYPES, shapes, AHEAD)
        for _ in found.batch(workload.BATCH).prefetch(2):
            yield workload.BATCH * workload.WINDOW

    def latency(self, what: str, calls: int) -> Answer:
        """Sample one window, or append one, `calls` times."""
        return latencies(self._one(what), calls)

    def probe(self, what: str) -> Answer:
        """Begin to do so until `stop`."""
        self._probe = Probe(self._one(what))
        return {}

    def _one(self, what: str) -> Callable[[], None]:
        return {"sample": self._one_sample, "append": self._one_append}[what]

    def stop(self) -> Answer:
        assert self._probe is not None
        return self._probe.stop()

    def _one_sample(self) -> None:
        next(iter(self._client.sample("steps", num_samples=1, emit_timesteps=False)))

    def _one_append(self) -> None:
        with self._client.trajectory_writer(num_keep_alive_refs=workload.WINDOW + 1) as writer:
            self._write(writer, self._steps[: workload.WINDOW])
            writer.flush()

    def checkpoint(self) -> Answer:
        return timed(lambda: {"bytes": size(Path(self._client.checkpoint()))})

    def priorities(self, calls: int, count: int) -> Answer:
        """`calls` updates of `count` items each, of a table of small items."""
        with self._client.trajectory_writer(num_keep_alive_refs=1) as writer:
            for _ in range(count):
                writer.append({"x": np.float32(0)})
                writer.create_item("small", 1.0, {"x": writer.history["x"][-1:]})
            writer.flush()
        keys = {int(found.info.key) for found in self._client.sample("small", 20 * count, emit_timesteps=False)}
        return timed(lambda: self._update(sorted(keys), calls))

    def _update(self, keys: list[int], calls: int) -> Answer:
        for number in range(calls):
            self._client.mutate_priorities("small", dict.fromkeys(keys, 1.0 + number))
        return {"updates": calls * len(keys)}


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    contestant = Reverb(sys.argv[1])
    names = ("append", "sample", "latency", "probe", "stop", "checkpoint", "priorities")
    serve({name: getattr(contestant, name) for name in names})


if __name__ == "__main__":
    main()
