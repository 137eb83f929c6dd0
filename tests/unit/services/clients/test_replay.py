"""The client where things go wrong: refusals, strangers, a server that comes late or forgets everything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ramp.errors import Conflict, Full, Invalid, Timeout, Unauthenticated, Unavailable
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome, SampleSpec, StepSchema
from services.clients.credentials import Credentials
from services.clients.replay import ReplayClient
from services.clients.spool import Parcel
from services.common.gate import Gate
from services.replay.core import ReplayCore
from services.replay.server import ReplayServer
from tests.experience import make_header, make_steps, store_episode
from tests.tokens import gate_knowing


class House:
    """A replay server of this process that can be torn down and put up again at its old port."""

    def __init__(self, folder: Path, stack: ExitStack, gate: Gate | None = None) -> None:
        self._folder, self._gate, self._port = folder, gate, 0
        self._stack = stack
        self.shard = self.open()

    def open(self) -> Shard:
        self.shard = Shard(self._folder, ShardConfig())
        self._server = ReplayServer(ReplayCore(self.shard), self._gate)
        self._port = self._server.start("127.0.0.1", self._port)
        self._stack.callback(self.close)
        return self.shard

    def close(self) -> None:
        if self.shard is not None:
            self._server.stop(0.1)
            self.shard.close()
            self.shard = None  # type: ignore[assignment]

    def forget(self) -> None:
        self.close()
        shutil.rmtree(self._folder)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def house(tmp_path: Path, stack: ExitStack) -> House:
    return House(tmp_path / "shard", stack)


def client_of(house: House, stack: ExitStack, **options: object) -> ReplayClient:
    return stack.enter_context(ReplayClient(house.address, name="test", **options))  # type: ignore[arg-type]


def test_a_server_that_forgot_everything_gets_the_episode_from_its_beginning(
    house: House, stack: ExitStack, tmp_path: Path
) -> None:
    client = client_of(house, stack, spool=tmp_path / "spool")
    writer = client.open(make_header())
    writer.append(make_steps(0, 12))
    writer.wait(30)
    house.forget()
    house.open()
    writer.append(make_steps(12, 24))
    writer.end(Outcome.SUCCESS)
    writer.wait(30)
    assert house.shard.query()[0].steps == 24


def test_what_only_the_server_can_refuse_surfaces_on_a_later_call_and_is_withdrawn(
    house: House, stack: ExitStack, tmp_path: Path
) -> None:
    client = client_of(house, stack, spool=tmp_path / "spool")
    store_episode(client, "e0")
    assert client.flush(30)
    stranger = client.open(make_header("e0", task="pull"))
    assert client.flush(30)
    with pytest.raises(Conflict, match="another header"):
        stranger.append(make_steps(0, 12))
    with pytest.raises(Conflict):
        stranger.end(Outcome.SUCCESS)
    stranger.abort()
    assert [info.episode_id for info in house.shard.query()] == ["e0"]
    assert len(list((tmp_path / "spool").glob("*.refused"))) == 1


def test_an_id_that_another_holds_open_is_refused_and_the_others_episode_stays(
    house: House, stack: ExitStack, tmp_path: Path
) -> None:
    """What comes behind the refused batch, and the END, must not be glued to what the other appended."""
    house.shard.begin(make_header())
    house.shard.append("e0", 0, make_steps(0, 8, mark=9))
    client = client_of(house, stack, spool=tmp_path / "spool")
    writer = client.open(make_header())
    try:
        for begin in range(0, 48, 8):
            writer.append(make_steps(begin, begin + 8))
        writer.end(Outcome.SUCCESS)
        writer.wait(30)
    except (Conflict, Invalid):
        pass
    else:
        pytest.fail("the refusal never surfaced")
    assert client.flush(30)
    assert house.shard.query() == []
    house.shard.append("e0", 1, make_steps(8, 16, mark=9))
    assert house.shard.end("e0", Outcome.SUCCESS, 2).ended


def test_a_batch_that_only_the_server_refuses_withdraws_the_episode(
    house: House, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(house, stack, spool=tmp_path / "spool")
    writer = client.open(make_header())
    writer.append(make_steps(0, 12))
    monkeypatch.setattr("services.clients.replay.check_follows", lambda *_: None)
    writer.append(make_steps(20, 32))
    assert client.flush(30)
    with pytest.raises(Invalid, match="step"):
        writer.end(Outcome.SUCCESS)
    assert house.shard.query() == []
    assert house.shard.info().open_episodes == 0


@pytest.mark.parametrize(
    ("mark", "outcome", "refused"), [(9, Outcome.SUCCESS, "number"), (0, Outcome.FAILURE, "outcome")]
)
def test_an_ended_id_with_other_content_is_refused_once_and_left_alone(
    house: House, stack: ExitStack, tmp_path: Path, mark: int, outcome: Outcome, refused: str
) -> None:
    """Also where the spool held all of it before the server's first answer."""
    writer = client_of(house, stack).open(make_header())
    writer.append(make_steps(0, 12))
    writer.append(make_steps(12, 24))
    writer.end(Outcome.SUCCESS)
    address = house.address
    house.close()
    client = stack.enter_context(ReplayClient(address, name="robot", spool=tmp_path / "spool"))
    robot = client.open(make_header())
    robot.append(make_steps(0, 12, mark=mark))
    robot.append(make_steps(12, 24, mark=mark))
    robot.end(outcome)
    house.open()
    assert client.flush(30)
    with pytest.raises(Conflict, match=refused):
        robot.wait(30)
    assert len(list((tmp_path / "spool").glob("*.refused"))) == 1
    assert house.shard.fetch("e0").steps.proprio[0, 1] == 0


def test_a_second_recording_is_not_glued_to_what_a_dead_robot_left(
    house: House, stack: ExitStack, tmp_path: Path
) -> None:
    house.shard.begin(make_header())
    house.shard.append("e0", 0, make_steps(0, 12, mark=1))
    client = client_of(house, stack, spool=tmp_path / "spool")
    robot = client.open(make_header())
    with suppress(Conflict):  # whichever call is the first to know
        robot.append(make_steps(0, 12))
        robot.append(make_steps(12, 24))
        robot.end(Outcome.SUCCESS)
    with pytest.raises(Conflict):
        robot.wait(30)
    assert client.flush(30)
    assert house.shard.query() == []


def test_after_its_end_a_writer_takes_nothing(house: House, stack: ExitStack, tmp_path: Path) -> None:
    client = client_of(house, stack, spool=tmp_path / "spool")
    writer = client.open(make_header())
    writer.append(make_steps())
    writer.end(Outcome.SUCCESS)
    writer.wait(30)
    with pytest.raises(Invalid, match="has ended"):
        writer.append(make_steps(12, 24))
    with pytest.raises(Invalid, match="has ended"):
        writer.end(Outcome.SUCCESS)


def test_a_step_above_the_bound_is_refused_here(stack: ExitStack, tmp_path: Path) -> None:
    """The server could only break the connection, again and again, and never say why."""
    client = stack.enter_context(ReplayClient("127.0.0.1:1", name="test", spool=tmp_path))
    schema = StepSchema(cameras={"top": (4096, 4096, 4)}, proprio_width=3, action_low=(-1.0,), action_high=(1.0,))
    writer = client.open(make_header(schema=schema))
    with pytest.raises(Invalid, match="images"):
        writer.append(make_steps(0, 1, schema=schema))


def test_an_append_that_finds_no_room_is_whole_or_not_there(
    house: House, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.clients.replay.BATCH_BYTES", 500)
    client = client_of(house, stack, spool=tmp_path / "spool", spool_bytes=20_000)
    client.open(make_header()).append(make_steps(0, 4))
    writer, before = client.open(make_header("e1")), client.pending_bytes
    with pytest.raises(Full, match="longer"):
        writer.append(make_steps(0, 80))
    assert client.pending_bytes <= before
    writer.append(make_steps(0, 24))
    writer.end(Outcome.SUCCESS)
    writer.wait(30)
    assert house.shard.fetch("e1").steps.step.tolist() == list(range(24))


def test_an_append_that_broke_off_may_be_repeated(
    house: House, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.clients.replay.BATCH_BYTES", 500)
    writer = client_of(house, stack, spool=tmp_path / "spool").open(make_header())
    true_add, calls = Parcel.add, iter(range(100))

    def add(parcel: Parcel, frame: bytes, *, last: bool = False) -> None:
        if next(calls) == 1:
            raise Full("the spool cannot be written")
        true_add(parcel, frame, last=last)

    monkeypatch.setattr(Parcel, "add", add)
    with pytest.raises(Full):
        writer.append(make_steps(0, 12))
    writer.append(make_steps(0, 12))
    writer.end(Outcome.SUCCESS)
    writer.wait(30)
    assert house.shard.fetch("e0").steps.step.tolist() == list(range(12))


def test_what_can_be_seen_here_is_refused_at_once_without_a_server(stack: ExitStack, tmp_path: Path) -> None:
    client = stack.enter_context(ReplayClient("127.0.0.1:1", name="test", spool=tmp_path))
    with pytest.raises(Invalid, match="episode_id"):
        client.open(make_header("no such/id"))
    writer = client.open(make_header())
    with pytest.raises(Conflict):
        client.open(make_header())
    bad = make_steps(0, 12)
    bad.action[0, 0] = 2.0
    with pytest.raises(Invalid, match="action"):
        writer.append(bad)
    with pytest.raises(Invalid, match="step"):
        writer.append(make_steps(4, 12))
    with pytest.raises(Invalid, match="no frame"):
        writer.end(Outcome.SUCCESS)
    writer.append(make_steps(0, 12))
    with pytest.raises(Timeout):
        writer.wait(0.05)
    assert not client.flush(0.05)


def test_a_wrong_token_is_told_at_once(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path / "shard", stack, gate_knowing(tmp_path, "right"))
    client = client_of(house, stack, credentials=Credentials(token="wrong"))
    with pytest.raises(Unauthenticated):
        client.info()
    with pytest.raises(Unauthenticated):
        client.open(make_header())
    with pytest.raises(Unauthenticated):
        next(client.sample(SampleSpec(table="demos", batch_size=1, chunk=1), timeout=10))
    assert client_of(house, stack, credentials=Credentials(token="right")).info().open_episodes == 0


def test_a_server_that_is_not_there_is_named(stack: ExitStack) -> None:
    client = stack.enter_context(ReplayClient("127.0.0.1:1", name="test"))
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1"):
        client.wait_ready(0.2)


def test_a_large_append_crosses_in_pieces(house: House, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.clients.replay.BATCH_BYTES", 500)
    client = client_of(house, stack)
    store_episode(client, "e0", length=40)
    assert len(house.shard.fetch_parts("e0")[2]) == 10
    assert house.shard.fetch("e0").steps.step.tolist() == list(range(40))


def test_many_streams_and_calls_share_one_client(house: House, stack: ExitStack) -> None:
    client = client_of(house, stack)
    store_episode(client, "e0")
    streams = [client.sample(SampleSpec(table="demos", batch_size=2, chunk=1), timeout=30) for _ in range(12)]
    assert all(len(next(stream).step) == 2 for stream in streams)
    for stream in streams:
        stream.close()
    with pytest.raises(Unavailable, match="closed"):
        list(streams[0])  # what had been read ahead, then the end


def test_a_stream_that_is_dropped_ends(house: House, stack: ExitStack) -> None:
    client = client_of(house, stack)
    store_episode(client, "e0")
    stream = client.sample(SampleSpec(table="demos", batch_size=2, chunk=1), timeout=30)
    next(stream)
    thread = stream._reader._thread
    del stream
    thread.join(10)
    assert not thread.is_alive()
