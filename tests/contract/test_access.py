"""Who may do what at a real server: every role at every method, tokens that are no good, quotas, the audit log."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from rampwire.v1 import policy_pb2 as policy_wire
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Denied, NotFound, OverQuota, Unauthenticated
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome
from services.clients.credentials import Credentials
from services.clients.replay import ReplayClient
from services.common import codec
from services.common.access import POLICY, REPLAY, RIGHTS
from services.common.errors import from_call
from services.common.gate import Gate
from services.common.metrics import REPLAY_REFUSED
from services.common.quotas import Quota, Quotas
from services.common.tokens import Role, revoke_tokens
from services.replay.core import ReplayCore
from services.replay.server import ReplayServer
from tests.experience import make_header, make_steps, store_episode
from tests.tokens import gate_knowing, know
from tests.waiting import eventually

METHODS = [method.name for method in wire.DESCRIPTOR.services_by_name["Replay"].methods]
MAY = {
    Role.ROBOT: {"Append", "Info"},
    Role.ACTOR: {"Append", "Info"},
    Role.LEARNER: {"Sample", "UpdatePriorities", "Annotate", "Query", "Fetch", "ListViews", "Info"},
    Role.OPERATOR: set(METHODS),
}
LOCKED = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)


class House:
    """A server with one token for each role, whose secret is the role's name; the robot is the `arm` of the tests."""

    def __init__(self, folder: Path, stack: ExitStack, quotas: Quotas | None = None) -> None:
        self.folder, self._stack = folder, stack
        gate = gate_knowing(folder, "operator")
        self.gate = Gate(access=gate.access, quotas=quotas or Quotas(), audit=gate.audit)
        for role in (Role.ACTOR, Role.LEARNER):
            know(self.tokens, role, role)
        know(self.tokens, "robot", Role.ROBOT, name="arm")
        self.shard = Shard(folder / "shard", ShardConfig())
        stack.callback(self.shard.close)
        self.server = ReplayServer(ReplayCore(self.shard), self.gate)
        self.address = f"127.0.0.1:{self.server.start('127.0.0.1', 0)}"
        stack.callback(self.server.stop, 0.2)
        self.channel = stack.enter_context(grpc.insecure_channel(self.address))

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens.yaml"

    def client(self, secret: str, spool: Path | None = None) -> ReplayClient:
        credentials = Credentials(token=secret)
        return self._stack.enter_context(ReplayClient(self.address, name="test", credentials=credentials, spool=spool))

    def call(self, method: str, secret: str, timeout: float | None = 10.0, **headers: str) -> grpc.StatusCode:
        """How a call with one empty message ends; on the wire every kind of method may be called like this."""
        metadata = (("authorization", f"Bearer {secret}"), *headers.items())
        streamed = self.channel.stream_stream(REPLAY + method)
        try:
            list(streamed(iter([b""]), timeout=timeout, metadata=metadata))
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("house"), stack)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def test_every_method_has_its_roles() -> None:
    """A new method without an entry would be for operators only, which may not be what was meant."""
    policy = policy_wire.DESCRIPTOR.services_by_name["Policy"].methods
    assert set(RIGHTS) == {REPLAY + name for name in METHODS} | {POLICY + method.name for method in policy}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("method", METHODS)
def test_a_role_may_call_its_methods_and_no_other(house: House, method: str, role: Role) -> None:
    code = house.call(method, role)
    assert (code is grpc.StatusCode.PERMISSION_DENIED) == (method not in MAY[role])
    assert code is not grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("secret", ["", "Robot", "robot ", "operator, robot"])
def test_a_wrong_token_opens_nothing(house: House, method: str, secret: str) -> None:
    assert house.call(method, secret) is grpc.StatusCode.UNAUTHENTICATED


def test_what_lists_the_methods_is_for_operators(house: House) -> None:
    reflection = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    streamed = house.channel.stream_stream(reflection)
    for secret, denied in (("operator", False), ("robot", True)):
        try:
            list(streamed(iter([b""]), timeout=10, metadata=(("authorization", f"Bearer {secret}"),)))
            code = grpc.StatusCode.OK
        except grpc.RpcError as error:
            code = error.code()
        assert (code is grpc.StatusCode.PERMISSION_DENIED) == denied


def test_an_expired_token_is_told_so_and_its_secret_is_not_repeated(house: House) -> None:
    know(house.tokens, "old-secret", Role.ACTOR, "old", expires=datetime.now(UTC) - timedelta(minutes=1))
    with pytest.raises(Unauthenticated, match=r"token of old expired at .*ramp token new") as caught:
        house.client("old-secret").info()
    assert "old-secret" not in str(caught.value)


def test_headers_beyond_their_bound_and_calls_without_an_end_are_refused(house: House) -> None:
    assert house.call("Info", "robot", **{"x-large": "x" * 40_000}) is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert house.call("Info", "robot", timeout=None) is grpc.StatusCode.INVALID_ARGUMENT
    assert house.call("Info", "robot") is grpc.StatusCode.OK


def test_a_robot_appends_its_own_episodes_only(house: House) -> None:
    robot, actor = house.client("robot"), house.client("actor")
    store_episode(robot, "mine")  # made_header's robot is arm
    know(house.tokens, "other-robot", Role.ROBOT, name="leg")
    leg = house.client("other-robot")
    with pytest.raises(Denied, match="set robot='leg'"):
        leg.open(make_header("forged"))
    writer = actor.open(make_header("of-arm"))
    line = _Line(house, "other-robot")
    for request in (
        codec.batch_request("of-arm", 0, make_steps(), make_header().schema),
        codec.end_request("of-arm", Outcome.SUCCESS, 1),
        codec.abort_request("of-arm"),
    ):
        assert line.say(request).error.code == "PERMISSION_DENIED"
    line.close()
    writer.append(make_steps())
    writer.end(Outcome.SUCCESS)
    writer.wait(10)
    assert {"mine", "of-arm"} <= {info.episode_id for info in house.client("learner").query()}


class _Line:
    """One Append stream, request by request."""

    def __init__(self, house: House, secret: str) -> None:
        self._requests: queue.Queue[wire.AppendRequest | None] = queue.Queue()
        method = house.channel.stream_stream(
            REPLAY + "Append",
            request_serializer=wire.AppendRequest.SerializeToString,
            response_deserializer=wire.Appended.FromString,
        )
        metadata = (("authorization", f"Bearer {secret}"),)
        self.answers = method(iter(self._requests.get, None), timeout=60, metadata=metadata)

    def say(self, request: wire.AppendRequest) -> wire.Appended:
        self._requests.put(request)
        return next(self.answers)

    def close(self) -> None:
        self._requests.put(None)


def test_a_revoked_token_ends_its_stream_and_nobody_else_s(house: House) -> None:
    know(house.tokens, "stolen-secret", Role.ACTOR, "stolen")
    stolen, kept = _Line(house, "stolen-secret"), _Line(house, "actor")
    for number, line in enumerate((stolen, kept)):
        assert not line.say(codec.open_request(make_header(f"long-{number}"))).HasField("error")
    revoke_tokens(house.tokens, "stolen")
    house.server._recheck.turn()
    with pytest.raises(grpc.RpcError):
        next(stolen.answers)
    assert not kept.say(codec.abort_request("long-1")).HasField("error")
    kept.close()
    with pytest.raises(Unauthenticated, match="revoked"):
        house.client("stolen-secret").info()


def test_the_file_may_break_without_stopping_anybody_and_is_read_when_it_is_whole(house: House) -> None:
    whole = house.tokens.read_bytes()
    house.tokens.write_text("- name: half")
    assert house.call("Info", "actor") is grpc.StatusCode.OK
    house.tokens.write_bytes(whole)
    house.tokens.chmod(0o644)  # others may read it: as good as broken
    know_nothing = house.call("Info", "new-secret")
    house.tokens.chmod(0o600)
    know(house.tokens, "new-secret", Role.ACTOR, "new")
    assert know_nothing is grpc.StatusCode.UNAUTHENTICATED
    assert house.call("Info", "new-secret") is grpc.StatusCode.OK


def test_what_cannot_be_taken_back_is_written_down(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path, stack)
    operator = house.client("operator")
    store_episode(operator, "e0")
    operator.delete(["e0"], "a person was in the picture")
    operator.snapshot("friday")
    operator.drop_snapshot("friday")
    with pytest.raises(NotFound):
        operator.drop_snapshot("friday")
    lines = [json.loads(line) for line in (tmp_path / "logs" / "audit.jsonl").read_text().splitlines()]
    assert [(line["who"], line["what"], line["result"][:7]) for line in lines] == [
        ("operator", "Delete", "done"),
        ("operator", "Snapshot", "done"),
        ("operator", "DropSnapshot", "done"),
        ("operator", "DropSnapshot", "refused"),
    ]
    assert lines[0]["episodes"] == ["e0"]
    assert lines[0]["reason"] == "a person was in the picture"


# ------------------------------------------------------------------------------------------------ quotas


class Clock:
    """Stands still until it is let go; then it races."""

    def __init__(self) -> None:
        self.runs = False

    def __call__(self) -> float:
        return 1e6 * time.monotonic() if self.runs else 0.0


def refused() -> float:
    return float(REPLAY_REFUSED.labels("RESOURCE_EXHAUSTED")._value.get())


def test_a_greedy_robot_waits_and_loses_nothing_while_others_are_served(tmp_path: Path, stack: ExitStack) -> None:
    clock = Clock()
    house = House(tmp_path / "house", stack, Quotas({Role.ROBOT: Quota(mib_s=0.02)}, clock=clock))
    greedy, modest = house.client("robot", spool=tmp_path / "spool"), house.client("actor")
    before = refused()
    for number in range(4):
        writer = greedy.open(make_header(f"greedy-{number}"))
        writer.append(make_steps(0, 200))
        writer.end(Outcome.SUCCESS)
    eventually(lambda: refused() > before)
    store_episode(modest, "modest")
    assert greedy.pending_bytes > 0
    clock.runs = True
    assert greedy.flush(60)
    assert {info.episode_id for info in house.client("learner").query()} == {
        "modest",
        *(f"greedy-{number}" for number in range(4)),
    }
    assert len(house.shard.fetch("greedy-3").steps) == 200


def test_episodes_beyond_those_that_may_be_open_wait_in_the_spool(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path / "house", stack, Quotas({Role.ROBOT: Quota(episodes=2)}))
    client = house.client("robot", spool=tmp_path / "spool")
    writers = [client.open(make_header(f"e{number}")) for number in range(6)]
    eventually(lambda: house.shard.info().open_episodes == 2)
    for writer in writers:
        writer.append(make_steps())
        writer.end(Outcome.SUCCESS)
    assert client.flush(60)
    assert len(house.client("learner").query()) == 6
    assert client.pending_bytes == 0


def test_calls_beyond_a_client_s_number_are_refused_with_a_time_to_come_again(tmp_path: Path, stack: ExitStack) -> None:
    house = House(tmp_path, stack, Quotas({Role.ROBOT: Quota(calls=1)}))
    line = _Line(house, "robot")
    line.say(codec.open_request(make_header("e0")))
    info = house.channel.unary_unary(REPLAY + "Info")
    with pytest.raises(grpc.RpcError) as caught:
        info(b"", timeout=10, metadata=(("authorization", "Bearer robot"),))
    error = from_call(caught.value)
    assert isinstance(error, OverQuota)
    assert (error.field, error.value, error.retry_after_s > 0) == ("calls", "1 at once", True)
    assert "replay.quotas" in error.remedy
    line.say(codec.abort_request("e0"))
    line.close()
    assert house.client("robot").info().open_episodes == 0


def test_a_learner_over_its_quota_is_sent_more_when_it_has_paid(tmp_path: Path, stack: ExitStack) -> None:
    clock = Clock()
    house = House(tmp_path, stack, Quotas({Role.LEARNER: Quota(mib_s=0.002)}, clock=clock))
    writer = house.client("actor").open(make_header("e0"))
    writer.append(make_steps(0, 200))
    writer.end(Outcome.SUCCESS)
    writer.wait(60)
    learner = house.client("learner")
    assert len(learner.fetch("e0").steps) == 200  # one message goes out on credit
    assert house.gate.quotas.debt_s(house.gate.access.admit("learner", REPLAY + "Fetch")) > 0
    clock.runs = True
    assert len(learner.fetch("e0").steps) == 200
