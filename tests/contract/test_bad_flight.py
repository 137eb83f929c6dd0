"""Poisoned input at the Flight door: refused with field, value and remedy; nothing stored; the server lives on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import flight
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Full, Invalid, NotFound, RampError, Timeout, Unauthenticated, Unavailable
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import SampleSpec
from services.common import bulk_codec, codec
from services.common.errors import from_flight
from services.replay.core import ReplayCore
from services.replay.flight import FlightDoor, one_token
from tests.contract.test_bad_input import LIMITS, MALFORMED
from tests.experience import SCHEMA, make_header, make_steps, store_episode

TOKEN = "a token of the test"
OPTIONS = flight.FlightCallOptions(timeout=60, headers=[(b"authorization", f"Bearer {TOKEN}".encode())])
SPEC = SampleSpec(table="demos", batch_size=4, chunk=2)


class Line:
    """One DoPut stream, message by message. It must survive everything a test says."""

    def __init__(self, client: flight.FlightClient, episode: str) -> None:
        self.episode = episode
        descriptor = flight.FlightDescriptor.for_command(bulk_codec.APPEND)
        self._writer, self._answers = client.do_put(descriptor, pa.schema([]), OPTIONS)

    def say(self, message: pa.Buffer | bytes) -> wire.Appended:
        self._writer.write_metadata(message)
        return wire.Appended.FromString(self._answers.read().to_pybytes())

    def batch(self, number: int, arrow: bytes) -> wire.Appended:
        request = wire.AppendRequest(episode_id=self.episode, batch=wire.StepBatch(number=number))
        return self.say(bulk_codec.append_to_buffer(request).to_pybytes() + arrow)

    def close(self) -> None:
        self._writer.done_writing()
        assert self._answers.read() is None
        self._writer.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shard, FlightDoor, int]]:
    folder = tmp_path_factory.mktemp("shard")
    shard = Shard(folder, ShardConfig(limits=LIMITS))
    store_episode(LocalReplay(shard))
    door = FlightDoor(ReplayCore(shard), one_token(TOKEN), folder / "segments", calls=4)
    yield shard, door, door.start("127.0.0.1", 0).flight_port
    door.stop(5.0)
    shard.close()


@pytest.fixture
def client(served: tuple[Shard, FlightDoor, int]) -> Iterator[flight.FlightClient]:
    with flight.FlightClient(("127.0.0.1", served[2])) as found:
        yield found


@pytest.fixture
def line(served: tuple[Shard, FlightDoor, int], client: flight.FlightClient) -> Iterator[Line]:
    """A stream with an open episode that holds its first batch; afterwards it must hold nothing else, and go on."""
    shard = served[0]
    found = Line(client, f"e{shard.info().disk_bytes}")
    header = make_header(found.episode)
    assert not found.say(bulk_codec.append_to_buffer(codec.open_request(header))).HasField("error")
    assert found.say(bulk_codec.batch_to_buffer(found.episode, 0, make_steps(0, 8), SCHEMA)).next_batch == 1
    stored = shard.info().disk_bytes
    yield found
    assert shard.info().disk_bytes == stored, "something of what was refused is on the disk"
    assert found.say(bulk_codec.batch_to_buffer(found.episode, 1, make_steps(8, 16), SCHEMA)).next_batch == 2
    assert not found.say(bulk_codec.append_to_buffer(codec.abort_request(found.episode))).HasField("error")
    found.close()


def ask(client: flight.FlightClient, ticket: bytes, options: flight.FlightCallOptions = OPTIONS) -> pa.RecordBatch:
    try:
        return client.do_get(flight.Ticket(ticket), options).read_chunk().data
    except flight.FlightError as error:
        raise from_flight(error) from None


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_steps_are_refused_by_name(line: Line, name: str) -> None:
    arrow, field = MALFORMED[name]
    error = line.batch(1, arrow).error
    assert (error.code, error.field) == ("INVALID_ARGUMENT", field)
    assert error.value
    assert error.remedy


@pytest.mark.parametrize(
    "message", [b"\0", bytes(4), b"\xff\xff\xff\xff", b"\5\0\0\0hello", b"\1\0\0", bytes(2 * 2**20)]
)
def test_messages_that_are_none_are_refused(line: Line, message: bytes) -> None:
    error = line.say(message).error
    assert error.code == "INVALID_ARGUMENT"
    assert error.field in ("app_metadata", "event")
    assert error.remedy


def test_a_record_batch_is_not_what_an_append_is_made_of(client: flight.FlightClient) -> None:
    """Whatever Flight has decoded itself is not looked at; compressed or not."""
    for compression in (None, "zstd"):
        options = flight.FlightCallOptions(
            timeout=60,
            headers=[(b"authorization", f"Bearer {TOKEN}".encode())],
            write_options=pa.ipc.IpcWriteOptions(compression=compression),
        )
        record = pa.record_batch([pa.array(range(1000))], names=["frame_index"])
        writer, answers = client.do_put(flight.FlightDescriptor.for_command(bulk_codec.APPEND), record.schema, options)
        writer.write_batch(record)
        error = wire.Appended.FromString(answers.read().to_pybytes()).error
        assert (error.code, error.field, error.value) == ("INVALID_ARGUMENT", "message", "a record batch of 1000 rows")
        writer.done_writing()
        writer.close()


@pytest.mark.parametrize(
    ("ticket", "kind", "field"),
    [
        (b"\xff\xff", Invalid, "ticket"),
        (b"", Invalid, "spec"),
        (wire.Ticket(spec=wire.SampleSpec(table="demos")).SerializeToString(), Invalid, "batch_size"),
        (wire.Ticket(spec=wire.SampleSpec(table="demos", order=9)).SerializeToString(), Invalid, "order"),  # type: ignore[arg-type]
        (bulk_codec.ticket_to_bytes(SampleSpec(table="nowhere", batch_size=1, chunk=1), ""), NotFound, None),
        (bulk_codec.ticket_to_bytes(SPEC, "another nonce"), Unavailable, None),
        (bulk_codec.ticket_to_bytes(SampleSpec(table="online", batch_size=1, chunk=1), ""), Timeout, None),
    ],
)
def test_tickets_that_cannot_be_answered(
    client: flight.FlightClient, ticket: bytes, kind: type[RampError], field: str | None
) -> None:
    with pytest.raises(kind) as caught:
        ask(client, ticket)
    assert getattr(caught.value, "field", None) == field
    assert ask(client, bulk_codec.ticket_to_bytes(SPEC, "")).num_rows == 4


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_crash_the_decoders(data: bytes) -> None:
    for decode in (bulk_codec.ticket_from_bytes, lambda each: bulk_codec.append_from_buffer(pa.py_buffer(each))):
        with contextlib.suppress(Invalid):
            decode(data)  # type: ignore[operator]


def test_strangers_are_sent_away(client: flight.FlightClient) -> None:
    for headers in ([], [(b"authorization", b"Bearer guess")], [(b"authorization-bin", b"\xff")]):
        options = flight.FlightCallOptions(timeout=60, headers=headers)
        with pytest.raises(Unauthenticated, match="token"):
            ask(client, bulk_codec.ticket_to_bytes(SPEC, ""), options)
        with pytest.raises(Unauthenticated, match="token"):
            put_nothing(client, bulk_codec.APPEND, options)


def put_nothing(client: flight.FlightClient, command: bytes, options: flight.FlightCallOptions) -> None:
    """A refusal may come with any of the steps."""
    try:
        writer, answers = client.do_put(flight.FlightDescriptor.for_command(command), pa.schema([]), options)
        writer.done_writing()
        answers.read()
        writer.close()
    except flight.FlightError as error:
        raise from_flight(error) from None


def test_another_command_is_refused(client: flight.FlightClient) -> None:
    with pytest.raises(Invalid) as caught:
        put_nothing(client, b"delete", OPTIONS)
    assert (caught.value.field, caught.value.value) == ("descriptor", "b'delete'")
    put_nothing(client, bulk_codec.APPEND, OPTIONS)


def test_as_many_calls_as_may_be_are_served_and_seats_come_back(
    served: tuple[Shard, FlightDoor, int], client: flight.FlightClient
) -> None:
    ticket = bulk_codec.ticket_to_bytes(SPEC, "")
    lines = [Line(client, f"held-{number}") for number in range(4)]
    for number, line in enumerate(lines):
        line.say(bulk_codec.append_to_buffer(codec.abort_request(f"held-{number}")))  # it has its seat
    with pytest.raises(Full, match="calls"):
        put_nothing(client, bulk_codec.APPEND, OPTIONS)
    assert ask(client, ticket).num_rows == 4, "learners have their own"
    for line in lines:
        line.close()
    put_nothing(client, bulk_codec.APPEND, OPTIONS)
    for _ in range(20):
        assert ask(client, ticket).num_rows == 4


def test_learners_that_stop_reading_hold_no_lock(
    served: tuple[Shard, FlightDoor, int], client: flight.FlightClient
) -> None:
    """Three answers that nobody reads; others are answered, and what is appended is durable."""
    shard, _, port = served
    ticket = bulk_codec.ticket_to_bytes(SampleSpec(table="demos", batch_size=4096, chunk=64), "")
    deaf = [client.do_get(flight.Ticket(ticket), OPTIONS) for _ in range(3)]
    with flight.FlightClient(("127.0.0.1", port)) as other:
        assert ask(other, bulk_codec.ticket_to_bytes(SPEC, "")).num_rows == 4
    store_episode(LocalReplay(shard), "meanwhile")
    assert shard.fetch("meanwhile").steps.step.tolist() == list(range(24))
    for reader in deaf:
        reader.cancel()


def test_a_stop_leaves_behind_who_does_not_go(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    door = FlightDoor(ReplayCore(shard), one_token(TOKEN), tmp_path / "segments")
    with flight.FlightClient(("127.0.0.1", door.start("127.0.0.1", 0).flight_port)) as client:
        line = Line(client, "e0")
        line.say(bulk_codec.append_to_buffer(codec.open_request(make_header())))
        assert not door.stop(0.1)
        line.close()
    shard.close()


def test_a_port_that_is_taken_is_not_shared(served: tuple[Shard, FlightDoor, int], tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="listen"):
        FlightDoor(ReplayCore(served[0]), one_token(TOKEN), tmp_path).start("127.0.0.1", served[2])


def test_drawn_numbers_are_those_of_the_shard(client: flight.FlightClient) -> None:
    record = ask(client, bulk_codec.ticket_to_bytes(SPEC, ""))
    record.validate(full=True)
    np.testing.assert_allclose(record.column("probability").to_numpy(), 1 / 6, rtol=0.5)
