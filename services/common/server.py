"""A gRPC server with its bounds: connections, threads, streams, message sizes, keepalive, health and reflection."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from ramp.errors import Unavailable
from services.common.certificates import Certificates
from services.common.metrics import GRPC_LIMIT


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a server grants. A call beyond `calls` is refused at once (RESOURCE_EXHAUSTED) instead of waiting for a free
    thread; a connection beyond `connections` is closed at once. One without calls is closed after `idle_s`, and comes
    back with its next call; one whose peer has vanished is found by keepalive within a minute."""

    calls: int = 128  # at the same time; each stream is one for as long as it lives
    connections: int = 2048
    idle_s: float = 600.0
    max_receive_bytes: int = 64 * 2**20
    max_send_bytes: int = 512 * 2**20


class Server:
    """gRPC, started last and stopped first.

    Example: server = Server(Bounds(), interceptors=(Guard(),)); add_service(server.grpc); server.start("0.0.0.0", 7001)
    """

    def __init__(self, bounds: Bounds, interceptors: tuple[grpc.ServerInterceptor, ...]) -> None:
        GRPC_LIMIT.labels("grpc").set(bounds.calls)
        threads = ThreadPoolExecutor(max_workers=bounds.calls, thread_name_prefix="call")
        self.grpc = grpc.server(
            threads,
            interceptors=list(interceptors),
            options=_options(bounds),
            maximum_concurrent_rpcs=bounds.calls,
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self.grpc)

    def start(
        self, host: str, port: int, services: tuple[str, ...], tls: Certificates | None = None, *, ready: bool = True
    ) -> int:
        """Serve, encrypted where there are certificates; the port, chosen freely where 0 was given. Health says of the
        services whether they are `ready`; `say_ready` follows where they are not yet. Raises Unavailable where the port
        is taken."""
        reflection.enable_server_reflection((*services, health.SERVICE_NAME, reflection.SERVICE_NAME), self.grpc)
        try:
            bound = self._listen(f"{host}:{port}", tls)
        except RuntimeError as error:
            raise Unavailable(f"cannot listen on {host}:{port}: {error}") from error
        if not bound:
            raise Unavailable(f"cannot listen on {host}:{port}")
        self.grpc.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        for name in services:
            self.say_ready(name, ready)
        return int(bound)

    def _listen(self, address: str, tls: Certificates | None) -> int:
        if tls is None:
            return int(self.grpc.add_insecure_port(address))
        return int(self.grpc.add_secure_port(address, tls.credentials()))

    def say_ready(self, service: str, ready: bool) -> None:
        """What health answers about one service; "" is the process, which lives."""
        status = health_pb2.HealthCheckResponse
        self._health.set(service, status.SERVING if ready else status.NOT_SERVING)

    def retire(self) -> None:
        """Tell probes and balancers that this server is going; calls are still answered."""
        self._health.enter_graceful_shutdown()

    def stop(self, grace_s: float) -> None:
        """No new calls; those in progress have `grace_s` to end, then they are cancelled."""
        self.grpc.stop(grace_s).wait()


def _options(bounds: Bounds) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", bounds.max_receive_bytes),
        ("grpc.max_send_message_length", bounds.max_send_bytes),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.max_allowed_incoming_connections", bounds.connections),
        ("grpc.max_connection_idle_ms", int(1000 * bounds.idle_s)),
        ("grpc.so_reuseport", 0),  # a second server on the port is a mistake, not a balancer
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.ping_timeout_ms", 10_000),  # else a minute
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    ]
