"""A client of the replay service in a process of its own.

    python -m benchmarks.peers.our_client ADDRESS FOLDER NAME ENCODING

Reads requests and answers them (benchmarks/peers/lines.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from itertools import count, islice
from pathlib import Path

import numpy as np

from benchmarks.peers import workload
from benchmarks.peers.lines import Answer, Probe, latencies, serve, timed
from benchmarks.peers.roads import APPEND, PATIENCE_S, SAMPLE, SPOOLED
from ramp.data.images import decode_batch, encode_steps
from ramp.replay.columns import slice_steps
from ramp.types import Batch, Encoding, EpisodeHeader, SampleSpec, Source, StepBatch, StepSchema
from services.clients.replay import ReplayClient
from services.clients.road import Road
from services.common.settings import compose

TABLE = "demos"  # no rate limiter holds it back
SCHEMA = StepSchema(
    cameras=dict.fromkeys(workload.CAMERAS, (workload.SIDE, workload.SIDE, 3)),
    proprio_width=workload.STATE,
    action_low=(-1.0,) * workload.ACTION,
    action_high=(1.0,) * workload.ACTION,
)


class Ours:
    """What the bench asks of it."""

    def __init__(self, address: str, folder: Path, name: str, encoding: Encoding) -> None:
        self._client = ReplayClient(address, name=name)
        self._spooled = ReplayClient(address, name=f"{name}-spooled", spool=folder / name)
        self._client.wait_ready(PATIENCE_S)
        self._name, self._numbers, self._schema = name, count(), SCHEMA.encoded(encoding)
        self._steps = encode_steps(our_steps(), self._schema)
        self._probe: Probe | None = None

    def close(self) -> None:
        self._client.close()
        self._spooled.close()

    def append(self, road: str, episodes: int) -> Answer:
        """Whole episodes; returns when the server has acknowledged them all, and so has them on its disk."""
        client = self._spooled if road == SPOOLED else self._client
        headers = [self._header() for _ in range(episodes)]

        def work() -> Answer:
            APPEND[road](client, headers, self._steps)
            return workload.moved(episodes * workload.STEPS)

        return timed(work)

    def _header(self) -> EpisodeHeader:
        return EpisodeHeader(
            episode_id=f"{self._name}-{next(self._numbers)}",
            task=compose("metaworld", None, []).tasks[0],  # the server knows only the recipe's
            instruction="measure",
            robot="none",
            seed=0,
            max_steps=workload.STEPS,
            tables=(TABLE,),
            schema=self._schema,
        )

    def sample(self, road: str, batches: int) -> Answer:
        """Windows of steps with all their frames, in batches."""
        stream = SAMPLE[road](self._client, windows(workload.BATCH))
        next(stream)
        return timed(lambda: _sum(map(delivered, islice(stream, batches))))

    def decode(self, batches: int) -> Answer:
        """Frames of sampled batches, which are pictures, become pixels on one processor."""
        stream = SAMPLE[Road.GRPC](self._client, windows(workload.BATCH))
        found = list(islice(stream, batches))
        stream.close()
        frames = batches * workload.BATCH * workload.WINDOW * len(workload.CAMERAS)

        def work() -> Answer:
            for batch in found:
                decode_batch(batch)
            return {"frames": frames}

        return timed(work)

    def latency(self, what: str, calls: int) -> Answer:
        """Sample one window, or append one, `calls` times."""
        return latencies(self._one(what), calls)

    def probe(self, what: str) -> Answer:
        """Begin to do so until `stop`."""
        self._probe = Probe(self._one(what))
        return {}

    def _one(self, what: str) -> Callable[[], object]:
        if what == "append":
            return self._append_window
        stream = self._client.sample(windows(1), timeout=PATIENCE_S)
        return lambda: next(stream)

    def _append_window(self) -> None:
        window = slice_steps(self._steps, 0, workload.WINDOW)
        APPEND["grpc"](self._client, [self._header()], window)

    def stop(self) -> Answer:
        assert self._probe is not None
        return self._probe.stop()

    def checkpoint(self) -> Answer:
        """A snapshot, which is dropped again."""
        answer = timed(lambda: {"bytes": self._client.snapshot("bench").bytes})
        self._client.drop_snapshot("bench")
        return answer

    def priorities(self, calls: int, count: int) -> Answer:
        """`calls` updates of `count` steps each."""
        names = [f"{self._name}-{number}" for number in range(-(-count // workload.STEPS))]
        ids = [name for name in names for _ in range(workload.STEPS)][:count]
        steps = [number % workload.STEPS for number in range(count)]
        return timed(lambda: self._update(ids, steps, calls))

    def _update(self, ids: list[str], steps: list[int], calls: int) -> Answer:
        values = np.ones(len(ids))
        updated = [self._client.update_priorities(TABLE, ids, steps, values * (1 + each)) for each in range(calls)]
        return {"updates": sum(updated)}


def windows(batch: int) -> SampleSpec:
    """Windows as long as Reverb's items: a step, and the frames of those that follow it."""
    return SampleSpec(table=TABLE, batch_size=batch, chunk=workload.WINDOW, horizons=tuple(range(1, workload.WINDOW)))


def delivered(batch: Batch) -> tuple[int, int]:
    """Steps with their own frames (those that an episode's end repeats do not count), and bytes of all frames."""
    frames = [cells for images in (batch.images, batch.future_images) for cells in images.values()]
    size = sum(sum(map(len, each.flat)) if each.dtype == object else each.nbytes for each in frames)
    return len(batch.step) + int(batch.future_valid.sum()), size


def _sum(found: Iterable[tuple[int, int]]) -> Answer:
    steps, sizes = zip(*found, strict=True)
    return {"steps": sum(steps), "bytes": sum(sizes)}


def our_steps() -> StepBatch:
    rows, step = workload.episode(), np.arange(workload.STEPS, dtype=np.int32)
    return StepBatch(
        step=step,
        timestamp=step / 10.0,
        proprio=rows["state"],
        action=rows["action"],
        reward=rows["reward"],
        source=np.full(workload.STEPS, Source.POLICY, np.uint8),
        trainable=np.ones(workload.STEPS, bool),
        policy_version=np.ones(workload.STEPS, np.int32),
        frame_row=step,
        images={camera: rows[camera] for camera in workload.CAMERAS},
    )


def main() -> None:
    contestant = Ours(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Encoding(sys.argv[4]))
    names = ("append", "sample", "latency", "probe", "stop", "checkpoint", "priorities", "decode")
    serve({name: getattr(contestant, name) for name in names})
    contestant.close()


if __name__ == "__main__":
    main()
