"""Connections that go wrong: cut without a word, never read from, opened by the thousand and left idle."""

from __future__ import annotations

import contextlib
import random
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import psutil
import pyarrow as pa
from pyarrow import flight
from pyarrow.flight import FlightDescriptor
from rampwire.v1 import replay_pb2 as wire

from ramp.types import Outcome, SampleSpec
from services.clients.channel import open_channel
from services.clients.flight import OPTIONS
from services.clients.replay import ReplayClient
from services.clients.road import Road
from services.common import bulk_codec, codec
from services.replay.server import CALLS
from services.replay.streams import MAX_CREDIT
from tests.chaos.progress import Progress, Row
from tests.chaos.relay import Relay
from tests.experience import make_header, make_steps, store_episode
from tests.replay_process import ReplayProcess
from tests.waiting import eventually

COUNT = PIECE = 1_000
SPEC = SampleSpec(table="demos", batch_size=4, chunk=2)
LARGE = SampleSpec(table="demos", batch_size=1024, chunk=2)
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # and empty SETTINGS
UNREAD = 8  # learners that do not read
SPARE_THREADS = 8  # that gRPC may keep for the next calls


def run(*, count: int, seed: int, folder: Path) -> list[Row]:
    """`count` idle connections, a fiftieth as many that are cut. Raises AssertionError."""
    cuts = max(count // 50, 2)
    proofs: list[tuple[str, Callable[[ReplayProcess, str], Row]]] = [
        ("half-open", lambda server, address: cut(server, address, cuts, random.Random(seed))),
        ("half-open at the Flight door", lambda server, address: vanish(server, address, cuts)),
        ("a learner that does not read", unread),
        ("a learner that does not read at the Flight door", unread_flight),
        ("idle", lambda server, address: idle(server, address, address, count)),
        ("idle at the Flight door", lambda server, address: idle(server, address, flight_address(server), count)),
        ("more calls than it serves", crowd),
    ]
    server, rows = ReplayProcess(folder), list[Row]()
    server.module = "tests.chaos.altered"
    try:
        address = server.start()
        with ReplayClient(address, name="setup") as client:
            store_episode(client, "before")
        for name, prove in proofs:
            began = time.monotonic()
            row = {"name": f"connections: {name}"} | prove(server, address)
            rows.append(row | {"seconds": round(time.monotonic() - began, 1)})
    finally:
        server.close()
    return rows


def open_files(server: ReplayProcess) -> int:
    return psutil.Process(server.pid).num_fds()


def connected(server: ReplayProcess) -> int:
    return sum(each.status != "LISTEN" for each in psutil.Process(server.pid).net_connections("tcp"))


def serves(address: str) -> None:
    """A new client is answered, and gets a batch."""
    with ReplayClient(address, name="judge") as client:
        assert "before" in {info.episode_id for info in client.query()}
        next(client.sample(SPEC, timeout=60))


def cut(server: ReplayProcess, address: str, count: int, draw: random.Random) -> Row:
    """A producer and its learner vanish without a FIN, in mid-episode. The server lets go of them; what was spooled
    meanwhile arrives when the producer's end has noticed, once."""
    names = ["before"]
    progress, relay = Progress("half-open connections", count), Relay(address)
    spool = server.directory.with_name("spool")
    with ReplayClient(relay.address, name="producer", spool=spool, road=Road.GRPC) as producer:  # all through the relay
        for turn in range(count):
            stream = producer.sample(SPEC, timeout=60)
            next(stream)
            writer = producer.open(make_header(f"during-{turn}"))
            writer.append(make_steps(0, 12))
            writer.wait(60)
            relay.silence()
            for number in range(1, draw.randint(2, 5)):
                writer.append(make_steps(12 * number, 12 * number + 12))
            writer.end(Outcome.SUCCESS)
            names.append(f"during-{turn}")
            eventually(lambda: connected(server) == 0)
            serves(address)
            relay.restore()
            assert producer.flush(60), "what was spooled does not arrive"
            stream.close()
            progress.step()
    relay.close()
    with ReplayClient(address, name="judge") as client:
        assert [info.episode_id for info in client.query()] == names
    return {"value": 0, "unit": "left behind", "connections": count}


def unread(server: ReplayProcess, address: str) -> Row:
    """Learners that ask for all the batches they may, and take none: the server keeps a few for each, not all."""
    with ReplayClient(address, name="learner") as learner:
        stream = learner.sample(LARGE, timeout=60)
        size = sum(frames.nbytes for frames in next(stream).images.values())  # nearly all of a batch
        for _ in range(5):
            next(stream)  # what serving costs at all is there by now
        process = psutil.Process(server.pid)
        before = process.memory_info().rss
        gone = threading.Event()
        with ExitStack() as opened:
            opened.callback(gone.set)
            for _ in range(UNREAD):
                channel = opened.enter_context(open_channel(address))
                call = sampling(channel, LARGE, MAX_CREDIT, gone)
                next(call)  # it is being served; and from here on it is not read from
                opened.callback(call.cancel)
            for _ in range(100):
                next(stream)  # long enough for the server to send the others what it would
            grown = process.memory_info().rss - before
        assert grown < UNREAD * MAX_CREDIT * size / 2, f"{grown} bytes for {UNREAD} learners that do not read"
        for _ in range(5):
            next(stream)
    return {"value": round(grown / UNREAD / size, 1), "unit": "batches held for each", "learners": UNREAD}


def sampling(channel: grpc.Channel, spec: SampleSpec, credit: int, until: threading.Event) -> Any:
    """A Sample call that never grants more than its first credit, and stays open until told."""

    def requests() -> Iterator[wire.SampleRequest]:
        yield wire.SampleRequest(spec=codec.spec_to_wire(spec), credit=credit)
        until.wait()

    method = channel.stream_stream(
        "/ramp.v1.Replay/Sample",
        request_serializer=wire.SampleRequest.SerializeToString,
        response_deserializer=None,
    )
    return method(requests())


def flight_address(server: ReplayProcess) -> str:
    return (server.directory / "flight_address").read_text().strip()


def vanish(server: ReplayProcess, address: str, count: int) -> Row:
    """Producers at the Flight door lose their power in mid-episode: their threads and connections are not lost."""
    eventually(lambda: connected(server) == 0)
    before, progress = psutil.Process(server.pid).num_threads(), Progress("vanished producers", count)
    for number in range(count):
        relay = Relay(flight_address(server))
        with open_door(relay.address) as door:
            writer, answers = door.do_put(FlightDescriptor.for_command(bulk_codec.APPEND), pa.schema([]))
            writer.write_metadata(bulk_codec.append_to_buffer(codec.open_request(make_header(f"vanished-{number}"))))
            assert answers.read() is not None
            try:
                relay.vanish()
            except PermissionError as error:
                relay.close()
                return {"skipped": f"this machine lets nobody vanish: {error}"}
            with contextlib.suppress(pa.ArrowException, OSError):
                writer.close()
        progress.step()
    eventually(lambda: connected(server) == 0)
    eventually(lambda: psutil.Process(server.pid).num_threads() <= before + SPARE_THREADS)
    serves(address)
    return {"value": 0, "unit": "left behind", "connections": count}


def open_door(address: str) -> flight.FlightClient:
    host, _, port = address.rpartition(":")
    return flight.FlightClient((host, int(port)), generic_options=list(OPTIONS.items()))


def unread_flight(server: ReplayProcess, address: str) -> Row:
    """Learners that ask for a batch each and take nothing of it: each holds that one, and the others are served."""
    held = held_unread(server)  # its connections are gone with its last reader
    eventually(lambda: connected(server) == 0)
    serves(address)
    return {"value": round(held, 1), "unit": "batches held for each", "learners": UNREAD}


def held_unread(server: ReplayProcess) -> float:
    """Batches that the server keeps for each learner that does not read."""
    ticket = flight.Ticket(bulk_codec.ticket_to_bytes(LARGE, ""))
    process = psutil.Process(server.pid)
    with ExitStack() as opened:
        door = opened.enter_context(open_door(flight_address(server)))
        size = sum(batch.nbytes for batch in door.do_get(ticket).read_all().to_batches())
        for _ in range(5):
            door.do_get(ticket).read_all()
        before = process.memory_info().rss
        asked = [opened.enter_context(open_door(flight_address(server))).do_get(ticket) for _ in range(UNREAD)]
        for _ in range(100):
            door.do_get(ticket).read_all()
        grown = process.memory_info().rss - before
        assert grown < 4 * UNREAD * size, f"{grown} bytes for {UNREAD} learners that do not read"
        for each in asked:
            each.cancel()
    return grown / UNREAD / size


def idle(server: ReplayProcess, address: str, door: str, count: int) -> Row:
    """Half of them say nothing at all, half greet as HTTP/2 does and fall silent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    eventually(lambda: connected(server) == 0)
    before = open_files(server)
    host, _, port = door.rpartition(":")
    try:
        with ExitStack() as opened:
            for number in range(count):
                each = opened.enter_context(socket.create_connection((host, int(port)), timeout=60))
                if number % 2:
                    each.sendall(HELLO)
            eventually(lambda: open_files(server) - before >= count // 2)  # of the others it may have had enough by now
            most = open_files(server)
            serves(address)
            rss = psutil.Process(server.pid).memory_info().rss
        eventually(lambda: connected(server) == 0)
        left = open_files(server) - before
        assert left < 10, f"{left} files of {count} connections are still open"
        serves(address)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return {
        "value": 0,
        "unit": "files left open",
        "connections": count,
        "most_open_files": most,
        "memory_mib": rss >> 20,
    }


def crowd(server: ReplayProcess, address: str) -> Row:
    """Streams up to the bound are served; one more is told why not, at once; when they go there is room again."""
    refused, calls, gone = 0, list[Any](), threading.Event()
    with open_channel(address) as channel:
        while refused < 10:
            calls.append(sampling(channel, SPEC, 1, gone))
            refused += is_refused(calls[-1])
            assert len(calls) < 10 * CALLS, "it has no bound"
        for call in calls:
            call.cancel()
        gone.set()
    assert len(calls) - refused >= CALLS, "refused below its bound"
    eventually(lambda: answered(address))
    serves(address)
    return {"value": refused, "unit": "refused", "served_at_the_same_time": len(calls) - refused}


def is_refused(call: Any) -> bool:
    """Whether the server has no room for it; False once it is served."""
    try:
        next(call)
    except grpc.RpcError:
        if call.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise
        return True
    return False


def answered(address: str) -> bool:
    with ReplayClient(address, name="judge") as client:
        return bool(client.query())
