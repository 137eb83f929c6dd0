"""The replay server process.

    python -m services.replay.main --dir runs/latest/replay --port 0 --settings runs/latest/settings.yaml

Serves until SIGTERM or SIGINT. Its address is written to DIR/address and printed once it answers; that of its Flight
door is written to DIR/flight_address, and Info tells it too. With port 0 a restart takes the port it had before, if
that is still free, so that clients find it again. With a Redis (--redis, or the settings') it announces itself as the
shard --shard of the run: a name that belongs to the data in DIR, whatever the address. A shard that is told by
--advertise how others find it has a host of its own: it takes the settings' Flight port as it is, and keeps its audit
log beside its data.
"""

from __future__ import annotations

import argparse
import logging
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from ramp.errors import RampError, Unavailable
from ramp.replay import durable
from ramp.replay.info import Limits
from ramp.replay.places import shard_name
from ramp.replay.run_tables import shard_tables
from ramp.replay.shard import Shard, ShardConfig
from services.backup.copying import Told
from services.backup.manifest import Manifest
from services.backup.part import Part
from services.backup.periodic import Backups
from services.backup.shard import back_up_shard
from services.common import metrics
from services.common.coordination import board_of, serving
from services.common.directory import parse
from services.common.gate import gate_of
from services.common.memory import keep_freed
from services.common.periodic import Periodic
from services.common.settings import Settings, load_settings
from services.common.tls import check_exposure
from services.replay.announcing import Identity, announce, name_of_host
from services.replay.core import ReplayCore
from services.replay.flight import FlightDoor
from services.replay.robots import RollCall
from services.replay.server import ReplayServer
from services.replay.upkeep import Housekeeping, Scrub, Watch
from services.replay.vanished import Keepalive
from services.replay.volume import Volume

logger = logging.getLogger("services.replay")

T = TypeVar("T")
METERED = ("replay", "grpc", "coordination")
SIGNAL_POLL_S = 0.2  # the kernel may hand a signal to gRPC's threads; Python runs its handler when this one wakes


def main(arguments: list[str] | None = None) -> int:
    """0 after an orderly stop, 1 where the disk failed or the service could not start."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _allow_many_files()
    keep_freed()
    try:
        return _serve(options)
    except RampError as error:
        logger.error("%s", error)
        return 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.replay.main", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="where segments, annotations and the address lie")
    parser.add_argument("--port", type=int, default=None, help="0 takes a free one; default: the settings' port")
    parser.add_argument("--host", default=None, help="default: the settings' host")
    parser.add_argument("--settings", type=Path, required=True, help="the run's settings.yaml")
    names = parser.add_mutually_exclusive_group()
    names.add_argument("--shard", default=shard_name(0), help="the shard's name in the directory")
    names.add_argument("--shard-from-hostname", action="store_true", help="shard-N on a host that is called ...-N")
    parser.add_argument("--advertise", default="", help="host:port by which others find it; default: where it listens")
    parser.add_argument("--redis", default="", help="redis://host:port/db of the directory; default: none")
    parser.add_argument("--metrics-port", type=int, default=None, help="0 takes a free one; default: no metrics")
    return parser.parse_args(arguments)


def shard_config(settings: Settings) -> ShardConfig:
    """What the settings say of the tables, the labels and the disk."""
    sampling, replay = settings.sampling, settings.replay
    shards = len(parse(replay.address)) if replay.address else replay.shards
    return ShardConfig(
        tables=shard_tables(
            min_items=-(-sampling.min_items // shards),
            samples_per_insert=sampling.samples_per_insert,
            slack=sampling.slack,
            human_priority=sampling.human_priority,
        ),
        tasks=settings.tasks,
        advantage=settings.advantage,
        retention=settings.retention,
        limits=Limits(max_message_bytes=settings.replay.max_message_mib * 2**20),
        segment_bytes=settings.replay.segment_mib * 2**20,
    )


def served_calls(settings: Settings) -> int:
    """A stream for every actor, some for every learner worker, and room for queries, robots and people."""
    return settings.replay.calls + settings.actors.count + 4 * settings.learner.workers


def _serve(options: argparse.Namespace) -> int:
    settings, stop = load_settings(options.settings), threading.Event()
    name = name_of_host() if options.shard_from_hostname else options.shard
    identity = Identity(name=name, advertised=options.advertise)
    gate = gate_of(settings, options.dir if identity.advertised else None)
    host, tls = options.host or settings.replay.host, settings.replay.tls.files()
    check_exposure(host, tls=tls is not None, tokens=gate.access.asks, exposed=settings.replay.exposed)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    shard = Shard(options.dir, shard_config(settings))
    if settings.replay.mounts and identity.name == shard_name(0):  # on every shard their steps would count again
        _mount(shard, settings.replay.mounts)
    core, calls = ReplayCore(shard), served_calls(settings)
    door = FlightDoor(core, gate, options.dir / "segments", calls, identity.host)
    place = options.dir / "flight_address"
    bulk = _started(partial(door.start, tls=tls), host, identity.flight_port(settings), place)
    _tell(place, host, bulk.flight_port)
    upkeep = [*_upkeep(shard, settings.replay.scrub_mib_per_s, stop.set), Keepalive(bulk.flight_port)]
    upkeep += [Volume(options.dir), RollCall(core.robots)]
    if settings.replay.backup.url:
        upkeep.append(_backups(shard, options.dir, identity.name, settings))
    server = ReplayServer(core, gate, calls=calls, connections=settings.replay.connections, bulk=bulk)
    asked = settings.replay.port if options.port is None else options.port
    port = _started(partial(server.start, tls=tls), host, asked, options.dir / "address")
    _tell(options.dir / "address", host, port)
    board = board_of(settings, options.redis)
    try:
        if board.url:
            announce(board, options.dir, identity.name, identity.address(host, port))
    except RampError:  # the name is another's
        door.stop(0.0)
        server.stop(0.0)
        shard.close()
        raise
    if options.metrics_port is not None:
        served = _metrics(options.metrics_port, settings)
        board.announce("replay", identity.name, serving(settings.metrics.host, served))
    for each in upkeep:
        each.start()
    print(f"{host}:{port}", flush=True)
    while not stop.wait(SIGNAL_POLL_S):
        pass
    failed = shard.failed
    logger.info("stopping%s", ": the disk has failed" if failed else "")
    server.retire()
    board.close()
    empty = door.stop()
    server.stop()
    for each in upkeep:
        each.stop()
    shard.close()
    if not empty:
        _leave(int(failed))
    return int(failed)


def _metrics(port: int, settings: Settings) -> int:
    served = metrics.serve(port, settings.metrics.host, services=METERED)
    logger.info("metrics at http://%s:%d/metrics", settings.metrics.host, served)
    return served


def _upkeep(shard: Shard, scrub_mib_per_s: int, on_failure: Callable[[], None]) -> list[Periodic]:
    scrub = [Scrub(shard, scrub_mib_per_s * 2**20)] if scrub_mib_per_s else []
    return [Watch(shard, on_failure), Housekeeping(shard), *scrub]


def _backups(shard: Shard, directory: Path, name: str, settings: Settings) -> Periodic:
    def make(part: Part, keep: int, told: Told) -> Manifest:
        return back_up_shard(part, directory, shard, keep, told)

    return Backups(name, settings.replay.backup, make)


def _leave(status: int) -> None:
    """End at once. Everything is on the disk, and Flight would wait at exit for a producer that says nothing more."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def _mount(shard: Shard, mounts: tuple[str, ...]) -> None:
    from services.replay.mounts import mounted_tables  # loads PyAV, which no other server needs

    for table in mounted_tables(mounts):
        shard.mount(table)


def _tell(place: Path, host: str, port: int) -> None:
    """Write an address down: first write, then rename, so that a reader sees a whole one."""
    text = f"{host}:{port}\n"
    if place.exists() and place.read_text(encoding="utf-8") == text:
        return  # a full or read-only disk would refuse it
    fresh = place.with_name(f".{place.name}")
    fresh.write_text(text, encoding="utf-8")
    durable.sync(fresh)
    fresh.replace(place)
    durable.sync(place.parent)  # clients look here after a power cut, too


def _started(start: Callable[[str, int], T], host: str, port: int, place: Path) -> T:
    """`start(host, port)`; with port 0 first at the port of the address in `place`, if it was on this host."""
    old = place.read_text(encoding="utf-8").strip().rpartition(":") if place.exists() else ("", "", "")
    if port == 0 and old[0] == host and old[2].isdigit():
        try:
            return start(host, int(old[2]))
        except Unavailable:
            logger.info("port %s is taken now", old[2])
    return start(host, port)


def _allow_many_files() -> None:
    """Each mapped segment holds a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
