"""The replay server process.

    python -m services.replay.main --dir runs/latest/replay --port 0 --settings runs/latest/settings.yaml

Serves until SIGTERM or SIGINT. Its address is written to DIR/address and printed once it answers. With port 0 a restart
takes the port it had before, if that is still free, so that clients find it again.
"""

from __future__ import annotations

import argparse
import logging
import resource
import signal
import sys
import threading
from pathlib import Path

from ramp.errors import RampError, Unavailable
from ramp.replay import durable
from ramp.replay.info import Limits
from ramp.replay.run_tables import shard_tables
from ramp.replay.shard import Shard, ShardConfig
from services.common import metrics
from services.common.settings import Settings, load_settings, replay_token
from services.replay.core import ReplayCore
from services.replay.server import CALLS, ReplayServer
from services.replay.upkeep import Housekeeping, Watch

logger = logging.getLogger("services.replay")

SIGNAL_POLL_S = 0.2  # the kernel may hand a signal to gRPC's threads; Python runs its handler when this one wakes


def main(arguments: list[str] | None = None) -> int:
    """0 after an orderly stop, 1 where the disk failed or the service could not start."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _allow_many_files()
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
    parser.add_argument("--metrics-port", type=int, default=None, help="0 takes a free one; default: no metrics")
    return parser.parse_args(arguments)


def shard_config(settings: Settings) -> ShardConfig:
    """What the settings say of the tables, the labels and the disk."""
    sampling = settings.sampling
    return ShardConfig(
        tables=shard_tables(
            min_items=sampling.min_items,
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
    return CALLS + settings.actors.count + 4 * settings.learner.workers


def _serve(options: argparse.Namespace) -> int:
    settings, stop = load_settings(options.settings), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    shard = Shard(options.dir, shard_config(settings))
    if settings.replay.mounts:
        _mount(shard, settings.replay.mounts)
    server = ReplayServer(ReplayCore(shard), replay_token(settings), served_calls(settings))
    watch, housekeeping = Watch(shard, stop.set), Housekeeping(shard)
    host = options.host or settings.replay.host
    port = _start(server, host, settings.replay.port if options.port is None else options.port, options.dir / "address")
    if options.metrics_port is not None:
        served = metrics.serve(options.metrics_port, settings.metrics.host)
        logger.info("metrics at http://%s:%d/metrics", settings.metrics.host, served)
    watch.start()
    housekeeping.start()
    print(f"{host}:{port}", flush=True)
    while not stop.wait(SIGNAL_POLL_S):
        pass
    failed = shard.failed
    logger.info("stopping%s", ": the disk has failed" if failed else "")
    server.stop()
    watch.stop()
    housekeeping.stop()
    shard.close()
    return int(failed)


def _mount(shard: Shard, mounts: tuple[str, ...]) -> None:
    from services.replay.mounts import mounted_tables  # loads PyAV, which no other server needs

    for table in mounted_tables(mounts):
        shard.mount(table)


def _start(server: ReplayServer, host: str, port: int, place: Path) -> int:
    """Serve, and say where: first write, then rename, so that a reader sees a whole address."""
    bound = _start_at_old_port(server, host, place) if port == 0 else server.start(host, port)
    text = f"{host}:{bound}\n"
    if not place.exists() or place.read_text(encoding="utf-8") != text:  # else a full or read-only disk would refuse
        partial = place.with_name(".address")
        partial.write_text(text, encoding="utf-8")
        durable.sync(partial)
        partial.replace(place)
        durable.sync(place.parent)  # clients look here after a power cut, too
    return bound


def _start_at_old_port(server: ReplayServer, host: str, place: Path) -> int:
    old = place.read_text(encoding="utf-8").strip().rpartition(":") if place.exists() else ("", "", "")
    if old[0] == host and old[2].isdigit():
        try:
            return server.start(host, int(old[2]))
        except Unavailable:
            logger.info("port %s is taken now", old[2])
    return server.start(host, 0)


def _allow_many_files() -> None:
    """Each mapped segment holds a descriptor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
