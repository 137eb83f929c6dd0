"""A channel with its bounds and its token, and calls that are tried again while that may help."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import grpc

from ramp.errors import Full, Timeout, Unavailable
from services.common.errors import from_call

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]

MAX_BYTES = 512 * 2**20


def open_channel(address: str) -> grpc.Channel:
    """To `host:port`. Nothing is connected before the first call; a lost connection is found by keepalive."""
    return grpc.insecure_channel(
        address,
        options=[
            ("grpc.max_receive_message_length", MAX_BYTES),
            ("grpc.max_send_message_length", MAX_BYTES),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.ping_timeout_ms", 10_000),  # else a minute
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 2_000),
            ("grpc.use_local_subchannel_pool", 1),
        ],
    )


def bearer(token: str) -> Metadata:
    """Metadata of every call to a server that was started with a token."""
    return (("authorization", f"Bearer {token}"),) if token else ()


def delays(first_s: float = 0.05, most_s: float = 2.0) -> Iterator[float]:
    """Pauses before further tries: doubling, and jittered so that a fleet does not come back in step."""
    pause = first_s
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(2 * pause, most_s)


def call(function: Callable[[float], T], *, timeout: float) -> T:
    """`function(seconds left)`, again while the service is away, until `timeout` s have passed.

    For idempotent calls only. Raises what the service answers, from the tree in ramp.errors.
    """
    deadline = time.monotonic() + timeout
    for pause in delays():
        left = deadline - time.monotonic()
        try:
            return function(max(left, 0.001))
        except grpc.RpcError as error:
            refusal = from_call(error)
        if not isinstance(refusal, Unavailable | Full) or time.monotonic() + pause >= deadline:
            raise refusal
        time.sleep(pause)
    raise Timeout(f"no answer within {timeout:g} s")


def await_ready(channel: grpc.Channel, address: str, timeout: float) -> None:
    """Raises Unavailable unless the server answers within `timeout` s."""
    try:
        grpc.channel_ready_future(channel).result(timeout)
    except grpc.FutureTimeoutError as error:
        raise Unavailable(f"no server answers at {address} within {timeout:g} s") from error
