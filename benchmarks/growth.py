"""How a replay shard does as it grows: appends, samples, priorities, start-up and memory at 10^4 steps and beyond.

Frames are sparse and small, so that the number of steps is what grows. There is no network; each size has processes of
its own, which go on where those of the last size were killed.

    python -m benchmarks growth                                  up to a million steps
    python -m benchmarks.growth runs/growth --steps 10000000     further, in a folder that is gone on with when it was
                                                                 ended on the way; both write benchmarks/results/
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.page import PAGE, figures, page
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import EpisodeHeader, Order, Outcome, SampleSpec, Source, StepBatch, StepSchema
from services.conductor.machine import commit, describe
from services.conductor.record import Result, load, save, without_host

Row = dict[str, Any]

STEPS = 50  # of an episode
STRIDE = 10  # steps between frames
SIDE = 8  # pixels
SIZES = (10**4, 10**5, 10**6)
FURTHER = (*SIZES, 2 * 10**6, 5 * 10**6, 10**7)
QUICK = (10**3, 10**4)
FLAT = 0.8  # of the figure at the smallest size, at least, at the largest
SPEEDS = ("append_steps_per_s", "sample_batches_per_s", "priorities_per_s")
PRIORITIES = 2000  # in one update
PRODUCERS = 16
SPEC = SampleSpec(table="demos", batch_size=256, chunk=8, horizons=(12, 24), order=Order.PRIORITIZED)
SCHEMA = StepSchema(
    cameras={"top": (SIDE, SIDE, 3), "wrist": (SIDE, SIDE, 3)},
    proprio_width=4,
    action_low=(-1.0,) * 4,
    action_high=(1.0,) * 4,
)


def run(quick: bool) -> list[Row]:
    """A row per size, and what has become of each speed."""
    with tempfile.TemporaryDirectory(prefix="ramp-growth-") as folder:
        return grown(Path(folder), QUICK if quick else SIZES)


def grown(folder: Path, sizes: Sequence[int]) -> list[Row]:
    """As `run`, in a folder whose sizes are measured once."""
    rows: list[Row] = []
    for size in sizes:
        known = folder / f"{size}.json"
        if not known.exists():
            shard = folder / "shard"
            row = _row(size, _in_process(_grow, shard, size), _in_process(_start, shard, size))
            known.write_text(json.dumps(row), encoding="utf-8")
            print(f"{row['name']}: {figures(row)}", flush=True)
        rows.append(json.loads(known.read_text(encoding="utf-8")))
    return rows + flatness(rows)


def flatness(rows: Sequence[Row]) -> list[Row]:
    """The largest size beside the smallest: 1 is flat. Of a latency the inverse, so that lower is worse everywhere."""
    first, last, found = rows[0], rows[-1], list[Row]()
    for key in (*SPEEDS, "sample_p50_ms"):
        figure, before = last[key], first[key]
        ratio = figure / before if key in SPEEDS else before / figure
        name = f"growth: {key.replace('_', ' ')} at {last['value']:,} steps beside {first['value']:,}"
        found.append({"name": name, "value": figure, "baseline": before, "ratio": round(ratio, 3), "target": FLAT})
    return found


def _row(size: int, grown: Row, started: Row) -> Row:
    return {"name": f"replay: {size:,} steps stored", "value": size, "unit": "steps"} | grown | started


def _in_process(work: Callable[[Path, int], Row], folder: Path, size: int) -> Row:
    """In a fresh process, which tells memory from memory."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (folder, size))


# -------------------------------------------------------------------------------------------- growing


def _grow(folder: Path, size: int) -> Row:
    """Append until there are `size` steps, and measure at that size. The process closes nothing, as a kill ends it."""
    shard = Shard(folder, ShardConfig())
    first = shard.info().table("demos")
    held = first.steps // STEPS if first else 0
    begun = time.perf_counter()
    numbers = itertools.count(max(0, held - PRODUCERS))
    _append(shard, numbers, min(held, PRODUCERS))  # those that a kill left out lie among the last ones
    tail = min(size // 10, 20_000)
    _append(shard, numbers, (size - tail) // STEPS - held)
    seconds = _timed(lambda: _append(shard, numbers, tail // STEPS))
    return {
        "append_steps_per_s": round(tail / seconds),
        **_sampling(shard),
        "priorities_per_s": round(_priorities(shard, next(numbers))),
        "info_ms": round(1e3 * _timed(shard.info), 2),
        "checkpoint_s": round(_timed(shard.checkpoint), 3),
        "fill_s": round(time.perf_counter() - begun, 1),
    }


def _append(shard: Shard, numbers: Iterator[int], episodes: int) -> None:
    """As PRODUCERS at a time that share the disk's fsyncs."""
    steps = _episode()

    def store(number: int) -> None:
        name = f"episode-{number:08d}"
        shard.write_begin(_header(name))
        shard.write_batch(name, 0, steps)
        shard.synced(shard.write_end(name, Outcome.SUCCESS, 1))

    with ThreadPoolExecutor(PRODUCERS) as producers:
        for _ in producers.map(store, itertools.islice(numbers, episodes)):
            pass


def _sampling(shard: Shard) -> Row:
    """Batches per second, and milliseconds of the median and of the slowest of a hundred."""
    generator = shard.generator()
    times = [_timed(lambda: shard.sample(SPEC, generator, timeout=10)) for _ in range(200)]
    return {
        "sample_batches_per_s": round(1 / statistics.mean(times), 1),
        "sample_p50_ms": round(1e3 * statistics.median(times), 2),
        "sample_p99_ms": round(1e3 * float(np.quantile(times, 0.99)), 2),
    }


def _priorities(shard: Shard, episodes: int) -> float:
    """Items per second, drawn from everywhere."""
    random, count, rounds = np.random.default_rng(0), PRIORITIES, 20
    batches = []
    for _ in range(rounds):
        chosen = random.integers(0, episodes, count)
        batches.append(
            (
                [f"episode-{each:08d}" for each in chosen.tolist()],
                STRIDE * random.integers(0, STEPS // STRIDE, count),
                random.random(count),
            )
        )
    seconds = _timed(lambda: [shard.update_priorities("demos", *batch) for batch in batches])
    return rounds * count / seconds


# -------------------------------------------------------------------------------------------- starting


def _start(folder: Path, size: int) -> Row:
    """A start after a kill, and the memory that the shard takes then."""
    process = psutil.Process()
    before = _anonymous(process)
    began = time.perf_counter()
    shard = Shard(folder, ShardConfig())
    seconds = time.perf_counter() - began
    held = _anonymous(process) - before
    row = {
        "start_s": round(seconds, 3),
        "start_us_per_episode": round(1e6 * seconds * STEPS / size, 1),
        "disk_MiB": round(shard.info().disk_bytes / 2**20, 1),
        "memory_bytes_per_step": round(held / size, 1),
    }
    shard.close()
    return row


def _anonymous(process: psutil.Process) -> int:
    """Bytes of memory that is the process's own: what is mapped from segments belongs to the kernel's cache."""
    found = process.memory_info()
    return int(found.rss - found.shared)


# -------------------------------------------------------------------------------------------- experience


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _header(episode_id: str) -> EpisodeHeader:
    return EpisodeHeader(
        episode_id=episode_id,
        task="grow",
        instruction="grow",
        robot="none",
        seed=0,
        max_steps=STEPS,
        tables=("demos",),
        schema=SCHEMA,
    )


def _episode() -> StepBatch:
    step, random = np.arange(STEPS, dtype=np.int32), np.random.default_rng(0)
    rows = np.flatnonzero(step % STRIDE == 0).astype(np.int32)
    return StepBatch(
        step=step,
        timestamp=step / 10.0,
        proprio=random.random((STEPS, 4), np.float32),
        action=random.random((STEPS, 4), np.float32),
        reward=np.full(STEPS, -1, np.float32),
        source=np.full(STEPS, Source.POLICY, np.uint8),
        trainable=np.ones(STEPS, bool),
        policy_version=np.ones(STEPS, np.int32),
        frame_row=rows,
        images={name: random.integers(0, 256, (len(rows), *shape), np.uint8) for name, shape in SCHEMA.cameras.items()},
    )


# -------------------------------------------------------------------------------------------- further


def main() -> None:
    """Up to any size, in pieces."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="Replay as it grows, further.")
    parser.add_argument("folder", type=Path, help="where the shard grows; gone on with where there is one")
    parser.add_argument("--steps", type=int, default=FURTHER[-1], help=f"how far, of {FURTHER} (default: all)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    began, date = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds")
    rows = grown(options.folder, [size for size in FURTHER if size <= options.steps])
    result = Result(
        name="growth",
        command=f"python -m benchmarks.growth {options.folder} --steps {options.steps}",
        commit=commit(),
        date=date,
        machine=without_host(describe()),
        seeds=(0,),
        seconds=round(time.monotonic() - began, 1),
        rows=tuple(rows),
    )
    results = Path(__file__).with_name("results")
    save(result, results)
    PAGE.write_text(page(load(results)), encoding="utf-8")


if __name__ == "__main__":
    main()
