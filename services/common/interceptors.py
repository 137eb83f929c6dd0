"""What every call of a server goes through: its token, its deadline, its metrics, and errors made statuses."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from ramp.errors import Denied, Invalid, RampError, Unauthenticated
from services.common.access import Client
from services.common.errors import ERROR_TRAILER, status_of, to_wire
from services.common.gate import Gate
from services.common.metrics import GRPC_CALLS, GRPC_INFLIGHT, GRPC_SECONDS

logger = logging.getLogger(__name__)

PUBLIC = ("/grpc.health.v1.Health/",)
"""Prefixes of methods that need neither token nor deadline: probes have neither."""

MAX_CALL_S = 3600.0  # gRPC shows a call without a deadline as one with centuries left
BEARER = "Bearer "

Handler = Callable[[Any, grpc.ServicerContext], Any]


@dataclass(frozen=True, slots=True)
class _Visit:
    """A call that is being answered."""

    method: str
    secret: str
    client: Client


class Guard(grpc.ServerInterceptor):
    """Refuses strangers, the greedy, and calls that could last for ever; counts; turns our errors into statuses.

    `endless` names the methods that may come without a deadline: streams that live as long as their peer. `recheck` has
    to be called again and again: it cuts the streams of clients whose token is not good any more.
    """

    def __init__(self, gate: Gate | None = None, endless: tuple[str, ...] = ()) -> None:
        self._gate, self._endless = gate or Gate(), endless
        self._visits: dict[grpc.ServicerContext, _Visit] = {}

    def caller(self, context: grpc.ServicerContext) -> Client:
        """Whose call is being answered."""
        return self._visits[context].client

    def recheck(self) -> int:
        """How many calls were cut because their token was revoked or has expired. Their next call is told why."""
        cut = 0
        for context, visit in list(self._visits.items()):
            try:
                self._gate.access.admit(visit.secret, visit.method)
            except (Unauthenticated, Denied) as error:
                logger.warning("%s of %s is cut: %s", visit.method, visit.client.name, error)
                context.cancel()
                cut += 1
        return cut

    def intercept_service(
        self, continuation: Callable[[grpc.HandlerCallDetails], Any], handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        handler = continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or method.startswith(PUBLIC):
            return handler
        return _rewrap(handler, lambda call: self._guarded(method, call, handler.response_streaming))

    def _guarded(self, method: str, call: Handler, streaming: bool) -> Handler:
        def unary(request: Any, context: grpc.ServicerContext) -> Any:
            with _Call(method, context), self._visit(method, context):
                return call(request, context)

        def stream(request: Any, context: grpc.ServicerContext) -> Iterator[Any]:
            with _Call(method, context), self._visit(method, context):
                yield from call(request, context)

        return stream if streaming else unary

    @contextmanager
    def _visit(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        secret = bearer_of(context)
        with self._gate.enter(secret, method) as client:
            self._check_deadline(method, context)
            self._visits[context] = _Visit(method, secret, client)
            try:
                yield
            finally:
                self._visits.pop(context, None)

    def _check_deadline(self, method: str, context: grpc.ServicerContext) -> None:
        left = context.time_remaining()
        if method not in self._endless and (left is None or left > MAX_CALL_S):
            raise Invalid("deadline", "none, or too far away", f"give the call a timeout of at most {MAX_CALL_S:g} s")


def bearer_of(context: grpc.ServicerContext) -> str:
    """The token that came with a call, or ""."""
    for key, value in context.invocation_metadata() or ():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        if key == "authorization" and text.startswith(BEARER):
            return text.removeprefix(BEARER)
    return ""


class _Call:
    """One call: its time and how it ended. Errors of our tree and bugs alike end in `context.abort`."""

    def __init__(self, method: str, context: grpc.ServicerContext) -> None:
        self._method, self._context = method.rsplit("/", 1)[-1], context
        self._began = time.monotonic()

    def __enter__(self) -> _Call:
        GRPC_INFLIGHT.labels("grpc").inc()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        GRPC_INFLIGHT.labels("grpc").dec()
        GRPC_SECONDS.labels(self._method).observe(time.monotonic() - self._began)
        if isinstance(error, RampError):
            self._abort(error)
        elif isinstance(error, Exception) and self._context.is_active():
            logger.error("%s failed", self._method, exc_info=error)
            GRPC_CALLS.labels(self._method, "INTERNAL").inc()
            self._context.abort(grpc.StatusCode.INTERNAL, f"{self._method} failed; the server's log says why")
        else:
            GRPC_CALLS.labels(self._method, "OK" if error is None else "CANCELLED").inc()

    def _abort(self, error: RampError) -> None:
        code = status_of(error)
        GRPC_CALLS.labels(self._method, code.name).inc()
        if isinstance(error, Unauthenticated | Denied):
            logger.warning("%s from %s: %s", self._method, self._context.peer(), error)
        self._context.set_trailing_metadata(((ERROR_TRAILER, to_wire(error).SerializeToString()),))
        self._context.abort(code, str(error)[:1000])


def _rewrap(handler: Any, guard: Callable[[Handler], Handler]) -> Any:
    """The same kind of handler around a guarded behaviour."""
    kinds = {
        (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
        (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
        (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
        (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
    }
    name, make = kinds[handler.request_streaming, handler.response_streaming]
    return make(guard(getattr(handler, name)), handler.request_deserializer, handler.response_serializer)
