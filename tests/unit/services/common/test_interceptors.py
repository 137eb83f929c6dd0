"""Who is let in, and what a failure looks like from outside: over a real server with one made-up service."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from ramp.errors import Invalid, NotFound
from services.common.errors import from_call
from services.common.interceptors import Guard
from services.common.metrics import GRPC_CALLS
from services.common.server import Bounds, Server
from tests.tokens import gate_knowing
from tests.told import told
from tests.waiting import eventually

TOKEN = "sesame"
LET_GO = threading.Event()


def _answer(request: bytes, context: grpc.ServicerContext) -> bytes:
    if request == b"invalid":
        raise Invalid("size", "9", "send 8")
    if request == b"bug":
        raise KeyError("secret of the house")
    return request


def _stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
    yield request
    if request == b"wait":
        assert LET_GO.wait(30)
    if request == b"gone":
        raise NotFound("no more")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    gate = gate_knowing(tmp_path_factory.mktemp("gate"), TOKEN)
    server = Server(Bounds(calls=8), (Guard(gate, endless=("/test.Echo/Stream",)),))
    methods = {
        "Say": grpc.unary_unary_rpc_method_handler(_answer),
        "Stream": grpc.unary_stream_rpc_method_handler(_stream),
    }
    server.grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    yield f"127.0.0.1:{server.start('127.0.0.1', 0, ('test.Echo',))}"
    server.stop(0.1)


def say(address: str, request: bytes, token: str | None = TOKEN, timeout: float | None = 10.0) -> bytes:
    metadata = (("authorization", f"Bearer {token}"),) if token is not None else ()
    with grpc.insecure_channel(address) as channel:
        return bytes(channel.unary_unary("/test.Echo/Say")(request, timeout=timeout, metadata=metadata))


def refusal(address: str, request: bytes, **how: object) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as caught:
        say(address, request, **how)  # type: ignore[arg-type]
    return caught.value


def test_whoever_has_the_token_is_answered(address: str) -> None:
    assert say(address, b"hello") == b"hello"


@pytest.mark.parametrize("token", [None, "", "Sesame", "sesame ", "sesam"])
def test_strangers_are_refused(address: str, token: str | None) -> None:
    error = refusal(address, b"hello", token=token)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert TOKEN not in str(error.details())


def test_a_call_that_could_last_for_ever_is_refused_unless_it_may(address: str) -> None:
    assert "deadline" in refusal(address, b"hello", timeout=None).details()
    with grpc.insecure_channel(address) as channel:
        method = channel.unary_stream("/test.Echo/Stream")
        assert list(method(b"on", metadata=(("authorization", "Bearer sesame"),))) == [b"on"]


def test_an_error_keeps_its_field_value_and_remedy(address: str) -> None:
    error = from_call(refusal(address, b"invalid"))
    assert isinstance(error, Invalid)
    assert (error.field, error.value, error.remedy) == ("size", "9", "send 8")


def test_a_stream_may_fail_in_the_middle(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        answers = channel.unary_stream("/test.Echo/Stream")(b"gone", metadata=(("authorization", "Bearer sesame"),))
        assert next(answers) == b"gone"
        with pytest.raises(grpc.RpcError) as caught:
            next(answers)
    assert isinstance(from_call(caught.value), NotFound)


def test_a_bug_is_internal_and_tells_strangers_nothing(address: str) -> None:
    error = refusal(address, b"bug")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()


def test_probes_need_no_token(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest(service="test.Echo"), timeout=5
        )
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_calls_are_counted_by_how_they_ended(address: str) -> None:
    def counted(code: str) -> float:
        return float(GRPC_CALLS.labels("Say", code)._value.get())

    before = counted("OK"), counted("INVALID_ARGUMENT")
    say(address, b"hello")
    refusal(address, b"invalid")
    assert (counted("OK"), counted("INVALID_ARGUMENT")) == (before[0] + 1, before[1] + 1)


def test_a_call_takes_a_seat_while_it_is_answered(address: str) -> None:
    before = told("ramp_grpc_inflight_calls", door="grpc") or 0.0
    with grpc.insecure_channel(address) as channel:
        metadata = (("authorization", f"Bearer {TOKEN}"),)
        answers = channel.unary_stream("/test.Echo/Stream")(b"wait", timeout=30.0, metadata=metadata)
        assert next(answers) == b"wait"
        assert told("ramp_grpc_inflight_calls", door="grpc") == before + 1
        LET_GO.set()
        assert list(answers) == []
    eventually(lambda: told("ramp_grpc_inflight_calls", door="grpc") == before)
    assert told("ramp_grpc_limit_calls", door="grpc") == 8
