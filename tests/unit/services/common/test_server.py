"""A server's bounds: connections and calls beyond them are refused, and those within go on."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator

import grpc
import pytest

from ramp.errors import Full, Unavailable
from services.common.errors import from_call
from services.common.interceptors import Guard
from services.common.server import Bounds, Server

HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # HTTP/2's preface, empty SETTINGS


@pytest.fixture
def port() -> Iterator[int]:
    server = Server(Bounds(calls=2, connections=3), (Guard(endless=("/test.Echo/Stream",)),))
    methods = {"Stream": grpc.stream_stream_rpc_method_handler(lambda requests, _: requests)}
    server.grpc.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    yield server.start("127.0.0.1", 0, ("test.Echo",))
    server.stop(0.1)


def connect(port: int) -> tuple[socket.socket, bytes]:
    """A connection, and what it was answered; nothing where it was closed."""
    line = socket.create_connection(("127.0.0.1", port), timeout=20)
    line.sendall(HELLO)
    try:
        return line, line.recv(9)
    except ConnectionResetError:
        return line, b""


def test_connections_beyond_the_bound_are_closed_at_once(port: int) -> None:
    held = [connect(port) for _ in range(3)]
    assert all(answer for _, answer in held)
    over, answer = connect(port)
    assert answer == b""
    over.close()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Echo/Stream")(b"", timeout=20)
    error = from_call(caught.value)
    assert isinstance(error, Unavailable)
    assert "replay.connections" in str(error)
    for line, _ in held:
        line.close()


def test_calls_beyond_the_bound_are_refused_and_those_within_go_on(port: int) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stream = channel.stream_stream("/test.Echo/Stream")
        asked: list[queue.Queue[bytes | None]] = [queue.Queue() for _ in range(2)]
        held = [stream(iter(each.get, None)) for each in asked]
        for each, answers in zip(asked, held, strict=True):
            each.put(b"here")
            assert next(answers) == b"here"
        with pytest.raises(grpc.RpcError) as caught:
            next(stream(iter([b"one more"])))
        assert isinstance(from_call(caught.value), Full)
        asked[0].put(b"still here")
        assert next(held[0]) == b"still here"
        for each in asked:
            each.put(None)
