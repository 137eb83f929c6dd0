"""The gRPC door of the policy server: decode, call, encode."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from rampwire.v1 import policy_pb2 as wire

from services.common.access import Client
from services.common.certificates import Certificates
from services.common.gate import Gate
from services.common.interceptors import Guard
from services.common.policy_codec import answer_to_wire, served_to_wire
from services.common.server import Bounds, Server
from services.common.tls import CertificateFiles
from services.policy.core import PolicyCore

SERVICE = "ramp.v1.Policy"
MAX_REQUEST_BYTES = 64 * 2**20  # eight cameras of 1080p, raw


class PolicyService:
    """The methods of the contract."""

    def __init__(self, core: PolicyCore, gate: Gate, caller: Callable[[grpc.ServicerContext], Client]) -> None:
        self._core, self._gate, self._caller = core, gate, caller

    def infer(self, request: wire.InferRequest, context: grpc.ServicerContext) -> wire.InferResponse:
        client, deadline = self._caller(context), time.monotonic() + context.time_remaining()
        self._gate.quotas.spend(client, request.ByteSize())
        return answer_to_wire(self._core.infer(client.name, request, deadline, context.add_callback))

    def info(self, _: wire.PolicyInfoRequest, __: grpc.ServicerContext) -> wire.PolicyInfo:
        return served_to_wire(self._core.served())

    def handlers(self) -> grpc.GenericRpcHandler:
        """As generated code would make them."""
        methods = {"Infer": _unary(self.infer, wire.InferRequest), "Info": _unary(self.info, wire.PolicyInfoRequest)}
        return grpc.method_handlers_generic_handler(SERVICE, methods)


def _unary(method: Callable[[Any, grpc.ServicerContext], Any], request: Any) -> Any:
    return grpc.unary_unary_rpc_method_handler(method, request.FromString, lambda answer: answer.SerializeToString())


class PolicyServer:
    """A core served over gRPC: what `main` runs and tests start in their own process."""

    def __init__(
        self, core: PolicyCore, gate: Gate | None = None, *, calls: int = 128, connections: int = 2048
    ) -> None:
        """Without a gate everybody is served."""
        gate = gate or Gate()
        guard = Guard(gate)
        bounds = Bounds(calls=calls, connections=connections, max_receive_bytes=MAX_REQUEST_BYTES)
        self._server = Server(bounds, (guard,))
        self._server.grpc.add_generic_rpc_handlers((PolicyService(core, gate, guard.caller).handlers(),))

    def start(self, host: str, port: int, tls: CertificateFiles | None = None, *, ready: bool) -> int:
        """The port served. Health of SERVICE says whether there is a policy to serve (`ready`), that of "" that the
        process lives. Raises Unavailable where the port is taken; Invalid, NotFound for unfit certificates."""
        return self._server.start(host, port, (SERVICE,), Certificates(tls) if tls else None, ready=ready)

    def say_ready(self) -> None:
        """There is a policy to serve now."""
        self._server.say_ready(SERVICE, True)

    def stop(self, grace_s: float) -> None:
        """Tell probes; answer what was asked within `grace_s`, cut the rest."""
        self._server.retire()
        self._server.stop(grace_s)
