"""What arrives together is answered together; credit is neither lost nor invented."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import grpc
from rampwire.v1 import replay_pb2 as wire

from services.replay.streams import MAX_CREDIT, MAX_GROUP, Credit, Inbox


def broken(count: int) -> Iterator[int]:
    yield from range(count)
    raise grpc.RpcError("the producer is gone")


def everything(inbox: Inbox[int]) -> list[int]:
    found: list[int] = []
    while group := inbox.take():
        assert len(group) <= MAX_GROUP
        found += group
    return found


def test_requests_come_out_in_order_and_none_is_left_behind_when_the_stream_breaks() -> None:
    assert everything(Inbox(iter(range(500)))) == list(range(500))
    assert everything(Inbox(broken(70))) == list(range(70))
    assert Inbox(iter(())).take() == []


def test_a_single_request_is_not_held_back_for_company() -> None:
    requests: queue.Queue[int | None] = queue.Queue()
    inbox: Inbox[int] = Inbox(iter(requests.get, None))
    for number in range(3):
        requests.put(number)
        assert inbox.take() == [number]
    requests.put(None)
    assert inbox.take() == []


def test_a_reader_with_more_than_there_is_room_for_ends_when_nobody_takes_any_more() -> None:
    with Inbox(iter(range(100))) as inbox:
        assert inbox.take()
    inbox._reader.join(10)
    assert not inbox._reader.is_alive()


def test_credit_is_spent_one_by_one_and_waits_for_more() -> None:
    grants: queue.Queue[wire.SampleRequest | None] = queue.Queue()
    credit = Credit(2)
    reader = threading.Thread(target=credit.read, args=(iter(grants.get, None),))
    reader.start()
    assert credit.take()
    assert credit.take()
    grants.put(wire.SampleRequest(credit=1))
    assert credit.take()
    grants.put(None)
    reader.join(10)
    assert not credit.take()


def test_nobody_gets_more_credit_than_there_is() -> None:
    credit = Credit(10**6)
    credit.close()
    assert sum(credit.take() for _ in range(2 * MAX_CREDIT)) == MAX_CREDIT
