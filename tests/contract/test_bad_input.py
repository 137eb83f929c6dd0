"""Poisoned input at the wire: refused with field, value and remedy; nothing stored; the connection lives on."""

from __future__ import annotations

import queue
import re
import struct
from collections.abc import Iterator

import grpc
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rampwire.v1 import replay_pb2 as wire
from rampwire.v1.replay_pb2_grpc import ReplayStub

from ramp.data.images import encode
from ramp.errors import Invalid
from ramp.replay.columns import step_columns, steps_from_arrow, steps_to_arrow
from ramp.replay.info import Limits
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.replay.validate import check_follows, check_steps
from ramp.types import Encoding
from services.common import codec
from services.common.arrow_bytes import record_from_ipc
from services.common.errors import from_call
from services.replay.core import ReplayCore
from services.replay.server import ReplayServer
from tests.experience import SCHEMA, frame_steps, make_header, make_steps, store_episode

LIMITS = Limits(max_message_bytes=2**18, max_steps_per_batch=64)


class Line:
    """One Append stream, request by request. It must survive everything a test says."""

    def __init__(self, channel: grpc.Channel, episode: str = "") -> None:
        self.episode = episode
        self._requests: queue.Queue[wire.AppendRequest | None] = queue.Queue()
        self._answers = ReplayStub(channel).Append(iter(self._requests.get, None), timeout=120)

    def say(self, request: wire.AppendRequest) -> wire.Appended:
        self._requests.put(request)
        return next(self._answers)

    def close(self) -> None:
        self._requests.put(None)
        assert list(self._answers) == []  # and it ends with OK


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shard, grpc.Channel]]:
    shard = Shard(tmp_path_factory.mktemp("shard"), ShardConfig(limits=LIMITS))
    door = ReplayServer(ReplayCore(shard))
    with grpc.insecure_channel(f"127.0.0.1:{door.start('127.0.0.1', 0)}") as channel:
        yield shard, channel
    door.stop(0.2)
    shard.close()


@pytest.fixture
def line(server: tuple[Shard, grpc.Channel]) -> Iterator[Line]:
    """A stream with an open episode that holds its first batch; afterwards it must hold nothing else, and go on."""
    shard, channel = server
    name = f"e{shard.info().disk_bytes}"
    found = Line(channel, name)
    assert not found.say(codec.open_request(make_header(name))).HasField("error")
    assert found.say(codec.batch_request(name, 0, make_steps(0, 8), SCHEMA)).next_batch == 1
    stored = shard.info().disk_bytes
    yield found
    assert shard.info().disk_bytes == stored, "something of what was refused is on the disk"
    assert found.say(codec.batch_request(name, 1, make_steps(8, 16), SCHEMA)).next_batch == 2
    assert found.say(codec.abort_request(name)).next_batch == 2
    found.close()


def ipc(batch: pa.RecordBatch, options: pa.ipc.IpcWriteOptions | None = None, times: int = 1) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        for _ in range(times):
            writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def good() -> pa.RecordBatch:
    return steps_to_arrow(make_steps(8, 16), SCHEMA)


def replaced(name: str, column: pa.Array) -> bytes:
    """The good batch with one column swapped; its type may change with it."""
    batch = good()
    index = batch.schema.get_field_index(name)
    fields = [pa.field(name, column.type) if at == index else field for at, field in enumerate(batch.schema)]
    columns = [column if at == index else each for at, each in enumerate(batch.columns)]
    return ipc(pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)))


def with_values(**columns: object) -> bytes:
    """The good batch with fields of its StepBatch overwritten at row 3, columns' types kept."""
    steps = make_steps(8, 16)
    for name, value in columns.items():
        getattr(steps, name)[3] = value
    return ipc(steps_to_arrow(steps, SCHEMA))


def images(sizes: list[int]) -> pa.Array:
    return pa.array([b"x" * size if size else None for size in sizes], pa.binary())


VALID = ipc(good())
MALFORMED: dict[str, tuple[bytes, str]] = {
    "no bytes": (b"", "arrow"),
    "no Arrow": (b"hello, replay", "arrow"),
    "half a stream": (ipc(good())[:700], "arrow"),
    "a schema only": (ipc(good(), times=0), "arrow"),
    "two batches": (ipc(good(), times=2), "arrow"),
    "rubbish behind": (ipc(good()) + b"rubbish", "arrow"),
    "compressed": (ipc(good(), pa.ipc.IpcWriteOptions(compression="zstd")), "arrow"),
    "a column missing": (ipc(good().drop_columns(["reward"])), "arrow"),
    "a column too many": (ipc(good().append_column("extra", pa.array([0] * 8))), "arrow"),
    "steps of 64 bits": (replaced("frame_index", pa.array(range(8, 16), pa.int64())), "arrow"),
    "a null among steps": (
        ipc(
            pa.RecordBatch.from_arrays(
                [pa.array([None, *range(9, 16)], pa.int32()), *good().columns[1:]], schema=good().schema
            )
        ),
        "frame_index",
    ),
    "too many rows": (ipc(steps_to_arrow(make_steps(8, 80), SCHEMA)), "arrow"),
    "too many bytes": (ipc(good().replace_schema_metadata({"padding": "x" * 2**18})), "arrow"),
    "an action too narrow": (
        replaced("action", pa.FixedSizeListArray.from_arrays(pa.array([0.0] * 8, pa.float32()), 1)),
        "arrow",
    ),
    "pictures too small": (
        ipc(good().set_column(8, good().schema.field(8), images([191, 0, 0, 0, 192, 0, 0, 0]))),
        "observation.images.top",
    ),
    "cameras at different steps": (
        ipc(good().set_column(8, good().schema.field(8), images([192, 0, 192, 0, 192, 0, 0, 0]))),
        "observation.images.wrist",
    ),
    "a nan action": (with_values(action=(np.nan, 0)), "action"),
    "an infinite proprioception": (with_values(proprio=(0, np.inf, 0)), "proprio"),
    "an action beyond its bound": (with_values(action=(0, 0.6)), "action"),
    "a nan reward": (with_values(reward=np.nan), "reward"),
    "an unknown source": (with_values(source=4), "source"),
    "a negative version": (with_values(policy_version=-1), "policy_version"),
    "a step left out": (with_values(step=99), "step"),
    "time standing still": (with_values(timestamp=1.0), "timestamp"),
    "steps that do not follow": (ipc(steps_to_arrow(make_steps(12, 20), SCHEMA)), "step"),
    "no steps": (ipc(good().slice(0, 0)), "step"),
    "thoughts that were not announced": (ipc(steps_to_arrow(make_steps(8, 16, thoughts=True), SCHEMA)), "arrow"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_steps_are_refused_by_name(line: Line, name: str) -> None:
    arrow, field = MALFORMED[name]
    episode = line.episode
    answer = line.say(wire.AppendRequest(episode_id=episode, batch=wire.StepBatch(number=1, arrow=arrow)))
    assert answer.error.code == "INVALID_ARGUMENT"
    assert answer.error.field == field
    assert answer.error.value
    assert answer.error.remedy


def thoughtful(**columns: object) -> bytes:
    steps = make_steps(0, 8, thoughts=True)
    for name, value in columns.items():
        getattr(steps, name)[3] = value
    return ipc(steps_to_arrow(steps, SCHEMA))


THOUGHTLESS: dict[str, tuple[bytes, str]] = {
    "no thoughts": (ipc(steps_to_arrow(make_steps(0, 8), SCHEMA)), "arrow"),
    "a subgoal that is a book": (thoughtful(subgoal="x" * 257), "subgoal"),
    "a hand in the next room": (thoughtful(hand=(0, 11)), "hand"),
    "an infinite hand": (thoughtful(hand=(-np.inf, 0)), "hand"),
    "half the columns": (
        ipc(steps_to_arrow(make_steps(0, 8, thoughts=True), SCHEMA).drop_columns(["subgoal"])),
        "arrow",
    ),
    "text that is no text": (thoughtful().replace("größe".encode(), b"gr\xff\xff\xfe\xff\xff"[:7]), "arrow"),
}


@pytest.mark.parametrize("name", THOUGHTLESS)
def test_malformed_thoughts_are_refused_by_name(server: tuple[Shard, grpc.Channel], name: str) -> None:
    arrow, field = THOUGHTLESS[name]
    episode = f"thoughts{list(THOUGHTLESS).index(name)}"
    line = Line(server[1], episode)
    assert not line.say(codec.open_request(make_header(episode, thoughts=True))).HasField("error")
    answer = line.say(wire.AppendRequest(episode_id=episode, batch=wire.StepBatch(number=0, arrow=arrow)))
    assert (answer.error.code, answer.error.field) == ("INVALID_ARGUMENT", field)
    good_one = codec.batch_request(episode, 0, make_steps(0, 8, thoughts=True), SCHEMA)
    assert line.say(good_one).next_batch == 1
    assert line.say(codec.abort_request(episode)).next_batch == 1
    line.close()


JPEGS = SCHEMA.encoded(Encoding.JPEG)
TOP = encode(np.full((8, 8, 3), 90, np.uint8), Encoding.JPEG)
SIZE = TOP.index(b"\xff\xc0") + 5  # of the picture, in its header
GIANT = TOP[:SIZE] + struct.pack(">HH", 60_000, 60_000) + TOP[SIZE + 4 :]
PICTURES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "0 bytes that are neither a JPEG nor a PNG"),
    "raw pixels": (bytes(192), "192 bytes that are neither"),
    "another format": (encode(np.zeros((8, 8, 3), np.uint8), Encoding.PNG), r"a png of \(8, 8, 3\)"),
    "another size": (encode(np.zeros((8, 16, 3), np.uint8), Encoding.JPEG), r"a jpeg of \(8, 16, 3\)"),
    "grey": (encode(np.zeros((8, 8, 1), np.uint8), Encoding.JPEG), r"a jpeg of \(8, 8, 1\)"),
    "a giant's claim": (GIANT, r"a jpeg of \(60000, 60000, 3\)"),
    "half of it": (TOP[: len(TOP) // 2], "cut off"),
    "a whole film": (TOP + bytes(5000), r"\d+ bytes, of at most 4291"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_bad_pictures_are_refused_by_what_they_are(server: tuple[Shard, grpc.Channel], name: str) -> None:
    cell, said = PICTURES[name]
    episode = f"pictures{list(PICTURES).index(name)}"
    line = Line(server[1], episode)
    assert not line.say(codec.open_request(make_header(episode, schema=JPEGS))).HasField("error")
    bad = make_steps(0, 8, schema=JPEGS)
    bad.images["top"][1] = cell
    answer = line.say(codec.batch_request(episode, 0, bad, JPEGS))
    assert (answer.error.code, answer.error.field) == ("INVALID_ARGUMENT", "images.top")
    assert re.search(f"{said}.* at step 4", answer.error.value)
    assert answer.error.remedy == "send a jpeg of 8 x 8 pixels, 3 channels"
    assert line.say(codec.batch_request(episode, 0, make_steps(0, 8, schema=JPEGS), JPEGS)).next_batch == 1
    assert line.say(codec.abort_request(episode)).next_batch == 1
    line.close()


@pytest.mark.parametrize(
    ("encoding", "channels", "field", "remedy"),
    [
        (7, 3, "schema.cameras.top.encoding", "send 0 to 2: raw, jpeg, png"),
        (wire.ENCODING_JPEG, 4, "schema.encodings.top", "use png or raw: a JPEG has no place for depth"),
    ],
)
def test_encodings_that_no_camera_has_are_refused(
    line: Line, encoding: int, channels: int, field: str, remedy: str
) -> None:
    header = codec.header_to_wire(make_header("fresh"))
    camera = next(each for each in header.schema.cameras if each.name == "top")
    camera.encoding, camera.channels = encoding, channels  # type: ignore[assignment]
    answer = line.say(wire.AppendRequest(episode_id="fresh", open=header))
    assert (answer.error.code, answer.error.field) == ("INVALID_ARGUMENT", field)
    assert answer.error.remedy == remedy


def test_events_out_of_order_are_refused(line: Line) -> None:
    name = line.episode
    refused = [  # NOT_FOUND has no field: its message says all
        (wire.AppendRequest(episode_id=name), "INVALID_ARGUMENT", "event"),
        (codec.batch_request("nobody", 0, make_steps(), SCHEMA), "NOT_FOUND", ""),
        (codec.batch_request(name, 2, make_steps(8, 16), SCHEMA), "INVALID_ARGUMENT", "number"),
        (codec.batch_request(name, 0, make_steps(0, 8, mark=1), SCHEMA), "ALREADY_EXISTS", "number"),
        (codec.open_request(make_header(name, task="pull")), "ALREADY_EXISTS", "episode_id"),
        (codec.end_request(name, codec.Outcome.SUCCESS, 7), "INVALID_ARGUMENT", "end.batches"),
        (wire.AppendRequest(episode_id=name, end=wire.End(batches=1)), "INVALID_ARGUMENT", "outcome"),
        (
            wire.AppendRequest(episode_id="x", open=codec.header_to_wire(make_header("y"))),
            "INVALID_ARGUMENT",
            "open.episode_id",
        ),
    ]
    for request, code, field in refused:
        answer = line.say(request)
        assert (answer.error.code, answer.error.field) == (code, field)
        assert bool(field) == bool(answer.error.value) == bool(answer.error.remedy)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"episode_id": "../../etc/passwd"}, "episode_id"),
        ({"episode_id": ""}, "episode_id"),
        ({"task": "a\nb"}, "task"),
        ({"instruction": "x" * 5000}, "instruction"),
        ({"max_steps": 0}, "max_steps"),
        ({"tables": []}, "tables"),
        ({"tables": ["demos", "demos"]}, "tables"),
        ({"tables": ["demo"]}, "tables"),
    ],
)
def test_wrong_headers_are_refused(line: Line, change: dict[str, object], field: str) -> None:
    header = codec.header_to_wire(make_header("fresh"))
    for name, value in change.items():
        header.ClearField(name)  # type: ignore[arg-type]
        if isinstance(value, list):
            getattr(header, name).extend(value)
        else:
            setattr(header, name, value)
    answer = line.say(wire.AppendRequest(episode_id=header.episode_id, open=header))
    assert (answer.error.code, answer.error.field) == ("INVALID_ARGUMENT", field)
    assert answer.error.remedy


@pytest.mark.parametrize("field", ["cameras", "proprio_width", "action_low", "action_high"])
def test_schemas_of_no_robot_are_refused(line: Line, field: str) -> None:
    header = codec.header_to_wire(make_header("fresh"))
    header.schema.ClearField(field)  # type: ignore[arg-type]
    answer = line.say(wire.AppendRequest(episode_id="fresh", open=header))
    assert answer.error.code == "INVALID_ARGUMENT"
    assert answer.error.field.startswith("schema")
    assert answer.error.remedy


def test_sampling_without_saying_what_is_refused(server: tuple[Shard, grpc.Channel]) -> None:
    for requests in ([], [wire.SampleRequest(credit=1)]):
        with pytest.raises(grpc.RpcError) as caught:
            next(ReplayStub(server[1]).Sample(iter(requests), timeout=60))
        error = from_call(caught.value)
        assert isinstance(error, Invalid)
        assert (error.field, error.value, error.remedy) == (
            "spec",
            "missing",
            "say in the first request what to sample",
        )


VALUES = codec.values_to_wire("labelled", frame_steps(24), np.linspace(1, 0, 6, dtype=np.float32))
BEGIN, COMMIT = codec.begin_request(1, extends=False), codec.commit_request()


@pytest.mark.parametrize(
    ("requests", "value", "remedy"),
    [
        ([], "not begin", "send BEGIN"),
        ([VALUES, COMMIT], "not begin", "send BEGIN"),
        ([wire.AnnotateRequest()], "not begin", "send BEGIN"),
        ([BEGIN, BEGIN, VALUES, COMMIT], "begin", "send VALUES or COMMIT"),
        ([BEGIN, VALUES, wire.AnnotateRequest(), COMMIT], "None", "send VALUES or COMMIT"),
        ([BEGIN, VALUES], "the stream ended without COMMIT", "send COMMIT last"),
    ],
)
def test_labels_out_of_order_or_broken_off_leave_none(
    server: tuple[Shard, grpc.Channel], requests: list[wire.AnnotateRequest], value: str, remedy: str
) -> None:
    shard, channel = server
    if not shard.query():
        store_episode(LocalReplay(shard), "labelled")
    with pytest.raises(grpc.RpcError) as caught:
        ReplayStub(channel).Annotate(iter(requests), timeout=60)
    error = from_call(caught.value)
    assert isinstance(error, Invalid)
    assert (error.field, error.value) == ("event", value)
    assert error.remedy.startswith(remedy)
    assert shard.info().annotation_version == 0
    assert shard.query(unlabelled_by=1)


def test_a_message_far_over_the_bound_ends_its_stream_and_nothing_else(server: tuple[Shard, grpc.Channel]) -> None:
    shard, channel = server
    before, huge = shard.info().disk_bytes, wire.StepBatch(arrow=bytes(3 * 2**18))
    with pytest.raises(grpc.RpcError) as caught:
        Line(channel).say(wire.AppendRequest(episode_id="e", batch=huge))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert shard.info().disk_bytes == before
    assert ReplayStub(channel).Info(wire.InfoRequest(), timeout=10).disk_bytes == before


@settings(max_examples=300)
@given(data=st.data())
def test_no_bytes_crash_the_decoder(data: st.DataObject) -> None:
    """Random bytes, and true messages with random bytes overwritten, cut or doubled: refused, or true steps."""
    mutated = bytearray(VALID)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(mutated) - 1, 0)))
        how = data.draw(st.sampled_from(["flip", "word", "cut", "double", "noise"]))
        if not mutated or how == "noise":
            mutated = bytearray(data.draw(st.binary(max_size=256)))
        elif how == "flip":
            mutated[place] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "word":
            place -= place % 4
            mutated[place : place + 4] = data.draw(st.sampled_from([0, 1, -1, 2**31 - 1, -(2**31)])).to_bytes(
                4, "little", signed=True
            )
        elif how == "cut":
            del mutated[place : place + data.draw(st.integers(1, 64))]
        else:
            mutated[place:place] = mutated[place : place + 64]
    decode(bytes(mutated))


@settings(max_examples=50)
@given(st.binary(max_size=400))
@example(b"\xff\xff\xff\xff\xf0\xff\xff\x7f")
@example(b"\xff\xff\xff\xff\x00\x00\x00\x00")
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(Invalid):
        record_from_ipc(noise, step_columns(SCHEMA), 64)


def decode(arrow: bytes) -> None:
    """What the server does before it stores; every number that comes through must be readable and in order."""
    try:
        steps = codec.steps_from_ipc(arrow, SCHEMA, 64)
        check_steps(steps, SCHEMA, LIMITS)
        check_follows(steps, 8, 0.7, 200)
    except Invalid:
        return
    again = steps_from_arrow(steps_to_arrow(steps, SCHEMA), SCHEMA)
    np.testing.assert_array_equal(again.action, steps.action)
    assert (np.abs(steps.action) <= (1.0, 0.5)).all()
