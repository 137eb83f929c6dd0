"""The policy server process.

    python -m services.policy.main --settings runs/latest/settings.yaml --dir runs/latest --port 7003

Serves the version that an alias of the registry in DIR points to (setting serving.alias), and follows it. Its address
is printed once it answers. Until there is a version to serve, health says NOT_SERVING of the service ramp.v1.Policy and
SERVING of the process. SIGTERM and SIGINT end it in order: health first, then the requests in hand, for at most
serving.drain_s.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import torch

from ramp.errors import RampError
from services.clients.registry import DirectoryRegistry
from services.clients.releases import Releases
from services.common import metrics
from services.common.gate import gate_of
from services.common.periodic import Periodic
from services.common.place import EFFICIENT
from services.common.settings import Settings, load_settings
from services.common.tls import check_exposure
from services.policy.batcher import Batcher
from services.policy.core import PolicyCore
from services.policy.server import PolicyServer
from services.policy.versions import Following, Versions
from services.policy.waiting import Waiting

logger = logging.getLogger("services.policy")

SIGNAL_POLL_S = 0.2  # the kernel may hand a signal to gRPC's threads; Python runs its handler when this one wakes


def main(arguments: list[str] | None = None) -> int:
    """0 after an orderly stop, 1 where the service could not start."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return _serve(options)
    except RampError as error:
        logger.error("%s", error)
        return 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.policy.main", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="the run's settings.yaml")
    parser.add_argument("--dir", type=Path, default=None, help="the run's directory; default: where the settings lie")
    parser.add_argument("--host", default=None, help="default: the settings' serving.host")
    parser.add_argument("--port", type=int, default=None, help="0 takes a free one; default: serving.port")
    parser.add_argument("--metrics-port", type=int, default=None, help="0 takes a free one; default: no metrics")
    return parser.parse_args(arguments)


class Follow(Periodic):
    """Looks at the registry again and again, and says when there is something to serve."""

    def __init__(self, versions: Versions, releases: Releases, server: PolicyServer, period_s: float) -> None:
        super().__init__("follow", period_s)
        self._versions, self._releases, self._server = versions, releases, server

    def turn(self) -> bool:
        try:
            self._versions.look()
            self._releases.observe()
            metrics.progress("follow")
        except Exception:  # whatever a shared file system or a broken version does: what serves goes on
            logger.exception("the registry could not be followed this time")
        if self._versions.current is not None:
            self._server.say_ready()
        return True


def _serve(options: argparse.Namespace) -> int:
    settings, stop = _settings(options), threading.Event()
    serving, gate, tls = settings.serving, gate_of(settings), settings.replay.tls.files()
    host = options.host or serving.host
    check_exposure(host, tls=tls is not None, tokens=gate.access.asks, exposed=settings.replay.exposed)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    torch.set_num_threads(serving.threads)
    registry = DirectoryRegistry(Path(settings.dir) / "registry")
    versions, waiting = Versions(registry, following(settings)), Waiting(serving.queue)
    batcher = Batcher(waiting, max_batch=serving.max_batch, max_wait_s=serving.max_wait_ms / 1000)
    core = PolicyCore(versions, waiting, mode=serving.mode)
    server = PolicyServer(core, gate, calls=serving.calls, connections=serving.connections)
    follow = Follow(versions, Releases(registry), server, serving.look_s)
    follow.turn()
    batcher.start()
    port = server.start(
        host, serving.port if options.port is None else options.port, tls, ready=versions.current is not None
    )
    if options.metrics_port is not None:
        parts = ("policy", "registry", "grpc", "coordination")
        served = metrics.serve(options.metrics_port, settings.metrics.host, services=parts)
        logger.info("metrics at http://%s:%d/metrics", settings.metrics.host, served)
    follow.start()
    print(f"{host}:{port}", flush=True)
    while not stop.wait(SIGNAL_POLL_S):
        pass
    logger.info("stopping")
    follow.stop()
    server.stop(serving.drain_s)
    batcher.close()
    return 0


def following(settings: Settings) -> Following:
    """What the settings say is to be served."""
    serving = settings.serving
    return Following(
        aliases=serving.alias,
        config=settings.policy,
        efficient=serving.mode == EFFICIENT,
        kept=serving.versions,
    )


def _settings(options: argparse.Namespace) -> Settings:
    settings = load_settings(options.settings)
    return replace(settings, dir=str(options.dir.resolve())) if options.dir else settings


if __name__ == "__main__":
    sys.exit(main())
