"""`make bench-replay`: the replay service beside Reverb 0.14 and beside the limits of the machine, in one run.

The same work for all (benchmarks/peers/workload.py), servers and clients in processes of their own on loopback, taking
turns. Ours has everything on its disk before it answers; Reverb keeps it in memory. Reverb installs itself into
.bench/reverb; where that cannot be, the rows say why.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import psutil

from benchmarks.peers import workload
from benchmarks.peers.lines import Answer
from benchmarks.peers.processes import Child, Contestant
from benchmarks.peers.reverb_home import HOME, reverb_python
from benchmarks.peers.roads import APPEND, SAMPLE
from benchmarks.peers.rows import Found, rows
from benchmarks.runs import MeasurementError
from benchmarks.turns import rotate
from ramp.types import Encoding
from services.clients.road import Road
from services.common.settings import compose, save
from services.conductor.record import Row


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured. Our server holds `turns` x `episodes` of every road, Reverb the newest `held`."""

    turns: int  # that count; one before them does not
    episodes: int  # in an append
    held: int  # episodes that Reverb keeps, and writes into a checkpoint
    batches: int  # in a sample
    calls: int  # of which the idle latency is taken
    snapshots: int
    updates: int  # calls that set priorities
    priorities: int  # in a call


FULL = Sizes(turns=5, episodes=6, held=40, batches=25, calls=300, snapshots=20, updates=20, priorities=2000)
QUICK = Sizes(turns=1, episodes=1, held=2, batches=2, calls=10, snapshots=2, updates=2, priorities=50)


def run(quick: bool) -> list[Row]:
    sizes = QUICK if quick else FULL
    try:
        reverb, why = reverb_python(), ""
    except MeasurementError as error:
        reverb, why = None, str(error)
        print(why, flush=True)
    return rows(measured(sizes, reverb, HOME.parent), why)


def measured(sizes: Sizes, reverb: Path | None, place: Path) -> Found:
    """Everything that the rows are made of; `place` is on the disk that is to be measured. Raises MeasurementError."""
    place.mkdir(exist_ok=True)
    busy = psutil.cpu_percent(interval=1.0)
    with tempfile.TemporaryDirectory(prefix="peers-", dir=place) as folder, ExitStack() as stack:
        bare, peers = _bare(Path(folder), stack), {"ours": _ours(Path(folder), stack, Encoding.RAW)}
        jpeg = _ours(Path(folder), stack, Encoding.JPEG)
        if reverb:
            peers["Reverb"] = _reverb(reverb, Path(folder), sizes, stack)
        found = _in_turn(_appends(sizes, peers, bare), sizes.turns)
        jpeg.ask("append", road="grpc", episodes=sizes.episodes)
        found |= _in_turn(_samples(sizes, peers, bare) | _pictures(sizes, jpeg), sizes.turns)
        for name, peer in peers.items():
            found |= _stalls(sizes, name, peer)
        found |= _in_turn(_updates(sizes, peers), sizes.turns)
    return {**found, "busy": [{"percent": busy}]}


def _in_turn(calls: Mapping[str, Callable[[], Answer]], turns: int) -> dict[str, list[Answer]]:
    """Answers of the turns that count."""
    found = rotate({name: partial(_told, name, call) for name, call in calls.items()}, 1 + turns)
    return {name: answers[1:] for name, answers in found.items()}


def _told(name: str, call: Callable[[], Answer]) -> Answer:
    """The answer, which is shown as it comes."""
    answer = call()
    print(f"  {name}: {answer['seconds']:.2f} s", flush=True)
    return answer


# ------------------------------------------------------------------------------------------------- what is asked


def _appends(sizes: Sizes, peers: Mapping[str, Contestant], bare: Child) -> dict[str, Callable[[], Answer]]:
    calls: dict[str, Callable[[], Answer]] = {}
    for road in APPEND:
        calls[f"append, ours, {road}"] = partial(peers["ours"].ask, "append", road=road, episodes=sizes.episodes)
    if "Reverb" in peers:
        calls["append, Reverb"] = partial(peers["Reverb"].ask, "append", episodes=sizes.episodes)
    whole = workload.STEPS * workload.FRAMES_BYTES
    piece = whole // workload.PIECES
    calls["limit: Flight put"] = partial(bare.ask, "put", size=piece, count=sizes.episodes * workload.PIECES)
    return calls | {"limit: disk": partial(bare.ask, "disk", size=whole, count=sizes.episodes)}


def _samples(sizes: Sizes, peers: Mapping[str, Contestant], bare: Child) -> dict[str, Callable[[], Answer]]:
    calls: dict[str, Callable[[], Answer]] = {}
    for name, roads in (("ours", SAMPLE), ("Reverb", ("client", "tf.data"))):
        for road in roads if name in peers else ():
            calls[f"sample, {name}, {road}"] = partial(peers[name].ask, "sample", road=road, batches=sizes.batches)
    same = {"size": workload.BATCH_BYTES, "count": sizes.batches}
    calls["limit: Flight get"] = partial(bare.ask, "get", **same)
    return calls | {"limit: memory": partial(bare.ask, "memory", **same)}


def _pictures(sizes: Sizes, jpeg: Contestant) -> dict[str, Callable[[], Answer]]:
    """The same windows from a table that holds JPEGs; what decoding them takes, apart."""
    calls: dict[str, Callable[[], Answer]] = {"decoding of JPEG, ours": partial(jpeg.ask, "decode", batches=1)}
    for road in SAMPLE:
        if road is not Road.MAPPED:
            calls[f"JPEG, ours, {road}"] = partial(jpeg.ask, "sample", road=road, batches=sizes.batches)
    return calls


def _stalls(sizes: Sizes, name: str, peer: Contestant) -> dict[str, list[Answer]]:
    """Latencies of an idle server, and of one that keeps a moment of itself on disk."""
    found: dict[str, list[Answer]] = {}
    for what in ("sample", "append"):
        print(f"  checkpoints of {name}, while a client does: {what}", flush=True)
        found[f"idle, {what}, {name}"] = [peer.probe.ask("latency", what=what, calls=sizes.calls)]
        times = sizes.snapshots if name == "ours" else 1  # one of theirs takes longer than all of ours
        answers, seconds = peer.watched(what, "checkpoint", times)
        found[f"checkpoint, {what}, {name}"] = [{**_checkpoint(answers), "latencies": seconds}]
    return found


def _checkpoint(answers: Sequence[Answer]) -> Answer:
    seconds = median(answer["seconds"] for answer in answers)
    return {"checkpoint_s": seconds, "checkpoint_bytes": answers[-1]["bytes"]}


def _updates(sizes: Sizes, peers: Mapping[str, Contestant]) -> dict[str, Callable[[], Answer]]:
    same = {"calls": sizes.updates, "count": sizes.priorities}
    return {f"priorities, {name}": partial(peer.ask, "priorities", **same) for name, peer in peers.items()}


# -------------------------------------------------------------------------------------------------- who is asked


def _ours(folder: Path, stack: ExitStack, encoding: Encoding) -> Contestant:
    """A server whose table holds frames so, and its clients."""
    home, start = folder / encoding, partial(_child, folder, stack, sys.executable)
    home.mkdir()
    save(compose("metaworld", None, [f"dir={home}"]), home / "settings.yaml")
    words = ("--dir", home / "replay", "--settings", home / "settings.yaml", "--port", 0)
    server = start("services.replay.main", *words)
    address = server.line()
    clients = [start("benchmarks.peers.our_client", address, home, name, encoding) for name in ("client", "probe")]
    return Contestant(server=server, client=clients[0], probe=clients[1])


def _reverb(python: Path, folder: Path, sizes: Sizes, stack: ExitStack) -> Contestant:
    kept, start = folder / "reverb", partial(_child, folder, stack, python)
    kept.mkdir()
    windows = sizes.held * workload.STEPS // workload.WINDOW
    server = start("benchmarks.peers.reverb_server", kept, windows)
    address = f"localhost:{server.line()}"
    clients = [start("benchmarks.peers.reverb_client", address) for _ in range(2)]
    return Contestant(server=server, client=clients[0], probe=clients[1])


def _bare(folder: Path, stack: ExitStack) -> Child:
    start = partial(_child, folder, stack, sys.executable)
    return start("benchmarks.peers.bare_client", start("benchmarks.peers.bare_server").line(), folder)


def _child(folder: Path, stack: ExitStack, python: Path | str, module: str, *words: object) -> Child:
    number = len(list(folder.glob("*.log")))
    child = Child(python, module, *words, log=folder / f"{module}-{number}.log")
    stack.callback(child.close)
    return child
