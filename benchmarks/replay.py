"""Replay append and sample throughput for the default recipe's steps, beside bare gRPC streams of the same bytes.

Two servers run as processes of their own on loopback: the replay server, with everything it does (validation, fsync
before the answer, decoding), and one that only receives or sends bytes over grpcio. They take turns.

    python -m benchmarks.replay     the second server (started by `run`)
"""

from __future__ import annotations

import itertools
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import psutil

from ramp.recipes import RECIPES, Recipe
from ramp.types import Batch, EpisodeHeader, Order, Outcome, SampleSpec, Source, StepBatch, StepSchema
from services.clients.replay import ReplayClient
from services.common import codec
from services.common.settings import child_environment, compose, save

Row = dict[str, Any]

STEPS = 150  # of an episode
IN_FLIGHT = 64  # messages of the bare append stream without an answer
STREAM_S = 300.0  # for one turn of a bare stream


def run(quick: bool) -> list[Row]:
    """Rows of append and sample, each with the bare stream's figure as its baseline."""
    recipe = RECIPES["metaworld"]()
    turns, episodes, batches = (1, 20, 20) if quick else (5, 100, 100)
    with tempfile.TemporaryDirectory(prefix="ramp-replay-") as folder, ExitStack() as stack:
        ours, process = _replay_server(Path(folder), stack)
        bare = stack.enter_context(grpc.insecure_channel(_bare_server(stack), options=OPTIONS))
        client = stack.enter_context(ReplayClient(ours, name="bench", spool=Path(folder) / "spool"))
        client.wait_ready(30)
        appends = _append_rows(client, process, bare, _episode(recipe), (turns, episodes))
        specs = {
            "policy batches": SampleSpec(
                table="demos",
                batch_size=recipe.training.policy_batch,
                chunk=recipe.policy.chunk,
                order=Order.PRIORITIZED,
            ),
            "world batches": SampleSpec(
                table="demos",
                batch_size=recipe.training.world_batch,
                chunk=1,
                horizons=recipe.world.horizons,
            ),
        }
        samples = [_sample_row(client, process, bare, each, (turns, batches)) for each in specs.items()]
    return [*appends, *samples]


# ---------------------------------------------------------------------------------------------- append


def _append_rows(
    client: ReplayClient, process: psutil.Process, bare: grpc.Channel, parts: list[StepBatch], size: tuple[int, int]
) -> list[Row]:
    turns, episodes = size
    header = _header(parts)
    messages = [
        codec.batch_request("e" * 20, number, part, header.schema).SerializeToString()
        for number, part in enumerate(parts)
    ]
    numbers = itertools.count()
    _append(client, header, parts, numbers, 3)
    cpu = _cpu(process)
    pairs = [
        (
            _timed(lambda: _append(client, header, parts, numbers, episodes)),
            _timed(lambda: _bare_append(bare, messages * episodes)),
        )
        for _ in range(turns)
    ]
    spent = (_cpu(process) - cpu) / (turns * episodes)
    row = _row("replay: append, spooled and fsynced / bare gRPC stream", pairs, episodes * STEPS, "steps/s")
    mib = sum(map(len, messages)) * episodes / 2**20
    row |= {"MiB_per_s": round(mib / statistics.median(ours for ours, _ in pairs), 1), "episode_steps": STEPS}
    return [row | {"messages_per_episode": len(messages), "server_cpu_ms_per_episode": round(1e3 * spent, 2)}]


def _append(
    client: ReplayClient, header: EpisodeHeader, parts: list[StepBatch], numbers: Iterator[int], episodes: int
) -> None:
    """Returns when the server has everything on its disk."""
    for number in itertools.islice(numbers, episodes):
        writer = client.open(_renamed(header, f"bench-{number}"))
        for part in parts:
            writer.append(part)
        writer.end(Outcome.SUCCESS)
    if not client.flush(300):
        raise RuntimeError("the replay server did not acknowledge what was appended")


def _bare_append(channel: grpc.Channel, messages: list[bytes]) -> None:
    """Every message is answered by one byte; a bounded number is under way."""
    room: queue.Queue[None] = queue.Queue()
    for _ in range(IN_FLIGHT):
        room.put(None)

    def sent() -> Iterator[bytes]:
        for message in messages:
            room.get()
            yield message

    for _ in channel.stream_stream("/bare/Append", None, None)(sent(), timeout=STREAM_S):
        room.put(None)


# ---------------------------------------------------------------------------------------------- sample


def _sample_row(
    client: ReplayClient,
    process: psutil.Process,
    bare: grpc.Channel,
    named: tuple[str, SampleSpec],
    size: tuple[int, int],
) -> Row:
    (name, spec), (turns, batches) = named, size
    stream = client.sample(spec, timeout=60)
    length = _size(next(stream))
    _take(stream, 3)
    cpu = _cpu(process)
    pairs = []
    for _ in range(turns):
        ours = _timed(lambda: _take(stream, batches))
        pairs.append((ours, _timed(lambda: _bare_sample(bare, length, batches))))
    spent = (_cpu(process) - cpu) / (turns * batches)
    stream.close()
    row = _row(f"replay: sample, {name} / bare gRPC stream", pairs, batches, "batches/s")
    seconds = statistics.median(ours for ours, _ in pairs)
    row |= {"items_per_s": round(spec.batch_size * batches / seconds), "batch": spec.batch_size}
    row |= {"MiB_per_s": round(length * batches / 2**20 / seconds, 1), "MiB_per_batch": round(length / 2**20, 2)}
    return row | {"server_cpu_ms_per_batch": round(1e3 * spent, 2)}


def _size(batch: Batch) -> int:
    """Bytes of its arrays."""
    values = [getattr(batch, field.name) for field in fields(Batch)]
    values += [*batch.images.values(), *batch.future_images.values()]
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


def _take(stream: Iterator[Any], count: int) -> None:
    for _ in range(count):
        next(stream)


def _bare_sample(channel: grpc.Channel, length: int, count: int) -> None:
    request = f"{length} {count}".encode()
    received = sum(len(data) for data in channel.unary_stream("/bare/Sample", None, None)(request, timeout=STREAM_S))
    if received != length * count:
        raise RuntimeError("the bare stream lost bytes")


# -------------------------------------------------------------------------------------------- measuring


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _row(name: str, pairs: list[tuple[float, float]], count: int, unit: str) -> Row:
    """Medians of both sides, and of the ratio within each turn."""
    return {
        "name": name,
        "value": round(count / statistics.median(ours for ours, _ in pairs), 1),
        "baseline": round(count / statistics.median(theirs for _, theirs in pairs), 1),
        "unit": unit,
        "ratio": round(statistics.median(theirs / ours for ours, theirs in pairs), 3),
        "turns": len(pairs),
    }


# ------------------------------------------------------------------------------------------- experience


def _episode(recipe: Recipe) -> list[StepBatch]:
    """STEPS steps of noise in the pieces in which an actor sends them."""
    size, stride = recipe.env.image_size, recipe.env.frame_stride
    random, piece = np.random.default_rng(0), compose("metaworld", None, []).actors.batch_steps
    return [
        _piece(random, begin, min(begin + piece, STEPS), stride, (recipe.env.cameras, size))
        for begin in range(0, STEPS, piece)
    ]


def _piece(
    random: np.random.Generator, begin: int, end: int, stride: int, pictures: tuple[tuple[str, ...], int]
) -> StepBatch:
    step, (cameras, size) = np.arange(begin, end, dtype=np.int32), pictures
    rows = np.flatnonzero(step % stride == 0).astype(np.int32)
    return StepBatch(
        step=step,
        timestamp=step / 10.0,
        proprio=random.random((len(step), 4), np.float32),
        action=random.random((len(step), 4), np.float32),
        reward=np.full(len(step), -1, np.float32),
        source=np.full(len(step), Source.POLICY, np.uint8),
        trainable=np.ones(len(step), bool),
        policy_version=np.ones(len(step), np.int32),
        frame_row=rows,
        images={camera: random.integers(0, 256, (len(rows), size, size, 3), np.uint8) for camera in cameras},
    )


def _header(parts: list[StepBatch]) -> EpisodeHeader:
    schema = StepSchema(
        cameras={camera: frames.shape[1:] for camera, frames in parts[0].images.items()},
        proprio_width=4,
        action_low=(-1.0,) * 4,
        action_high=(1.0,) * 4,
    )
    return EpisodeHeader(
        episode_id="bench",
        task=compose("metaworld", None, []).tasks[0],  # the server knows only the run's
        instruction="measure",
        robot="none",
        seed=0,
        max_steps=200,
        tables=("demos",),
        schema=schema,
    )


def _renamed(header: EpisodeHeader, episode_id: str) -> EpisodeHeader:
    fields = {name: getattr(header, name) for name in header.__slots__}
    return EpisodeHeader(**{**fields, "episode_id": episode_id})


# ---------------------------------------------------------------------------------------------- servers

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def _replay_server(folder: Path, stack: ExitStack) -> tuple[str, psutil.Process]:
    save(compose("metaworld", None, [f"dir={folder}"]), folder / "settings.yaml")
    command = ["services.replay.main", "--dir", str(folder / "replay"), "--settings", str(folder / "settings.yaml")]
    return _started([*command, "--port", "0"], stack)


def _bare_server(stack: ExitStack) -> str:
    return _started(["benchmarks.replay"], stack)[0]


def _started(module: list[str], stack: ExitStack) -> tuple[str, psutil.Process]:
    """A child that prints its address once it serves; it is stopped with the stack."""
    child = subprocess.Popen(
        [sys.executable, "-m", *module],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=child_environment(),
    )
    stack.callback(child.wait)
    stack.callback(child.terminate)
    assert child.stdout is not None
    address = child.stdout.readline().strip()
    if not address:
        raise RuntimeError(f"{module[0]} did not start")
    return address, psutil.Process(child.pid)


def _serve_bare() -> None:
    """Bytes in, one byte back; or bytes out."""

    def append(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            yield b"1"

    def sample(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        length, count = map(int, request.split())
        data = bytes(length)
        for _ in range(count):
            yield data

    handlers = {
        "Append": grpc.stream_stream_rpc_method_handler(append),
        "Sample": grpc.unary_stream_rpc_method_handler(sample),
    }
    server = grpc.server(ThreadPoolExecutor(4), options=OPTIONS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    _serve_bare()
