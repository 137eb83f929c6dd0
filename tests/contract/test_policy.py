"""The contract of the policy server, near and over gRPC: the same answers, the same refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from rampwire.v1 import policy_pb2 as wire

from ramp.errors import Denied, Invalid, NotFound, OverQuota, RampError, Timeout, Unauthenticated, Unavailable
from ramp.types import Encoding, Observation
from services.clients.credentials import Credentials
from services.clients.policy import PolicyClient
from services.clients.registry import DirectoryRegistry
from services.common.gate import Gate
from services.common.inference import Answer
from services.common.policy_codec import request_to_wire
from services.common.tokens import Role
from services.policy.batcher import Batcher
from services.policy.core import PolicyCore
from services.policy.server import SERVICE, PolicyServer
from services.policy.versions import Following, Versions
from services.policy.waiting import Waiting
from tests.policies import RECIPE, Decider, observation, publish
from tests.tokens import gate_knowing, know
from tests.unit.services.common.test_metrics import exported

SEEN = observation()
LONG_S = 60.0


class House:
    """A policy server in this process."""

    def __init__(self, folder: Path, stack: ExitStack, *, gate: Gate | None = None, most: int = 64) -> None:
        self.registry = DirectoryRegistry(folder / "registry")
        self.versions = Versions(self.registry, Following(aliases=("stable", "latest"), config=RECIPE.policy))
        self.waiting = Waiting(most)
        self.core = PolicyCore(self.versions, self.waiting, mode="standard")
        batcher = Batcher(self.waiting, max_batch=8, max_wait_s=0.0)
        batcher.start()
        stack.callback(batcher.close)
        self.server = PolicyServer(self.core, gate)
        stack.callback(self.server.stop, 1.0)
        self.address = f"127.0.0.1:{self.server.start('127.0.0.1', 0, ready=False)}"
        self.client = stack.enter_context(PolicyClient(self.address))

    def publish(self) -> int:
        version = publish(self.registry)
        self.versions.look()
        return version


class Near:
    """The core without a wire."""

    def __init__(self, core: PolicyCore) -> None:
        self._core = core

    def infer(
        self, seen: Observation, *, session: str, start: bool = False, version: int = 0, timeout: float = LONG_S
    ) -> Answer:
        request = request_to_wire(seen, session=session, start=start, version=version, encoding=Encoding.RAW)
        return self._core.infer("near", request, time.monotonic() + timeout, lambda _: None)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(tmp_path, stack)


@pytest.fixture(params=["near", "grpc"])
def door(request: pytest.FixtureRequest, house: House) -> Near | PolicyClient:
    return Near(house.core) if request.param == "near" else house.client


def ask(door: Near | PolicyClient, seen: Observation = SEEN, *, session: str = "arm-7", **more: object) -> Answer:
    return door.infer(seen, session=session, timeout=LONG_S, **more)  # type: ignore[arg-type]


def test_an_observation_is_answered_by_a_chunk_and_its_version(house: House, door: Near | PolicyClient) -> None:
    version = house.publish()

    answer = ask(door, start=True)

    assert answer.chunk.shape == (RECIPE.policy.chunk, 2)
    assert np.isfinite(answer.chunk).all()
    assert (answer.version, answer.batch) == (version, 1)
    assert 0.0 <= answer.remaining <= 1.0
    assert answer.infer_s > 0.0


def test_an_episode_sees_one_version_and_the_next_begins_with_the_new_one(
    house: House, door: Near | PolicyClient
) -> None:
    first = house.publish()
    seen = [ask(door, start=True).version]
    second = house.publish()
    seen += [ask(door).version, ask(door, session="arm-8").version, ask(door, start=True).version]

    assert seen == [first, first, second, second]
    assert ask(door, version=first).version == first


@pytest.mark.parametrize(
    ("seen", "session", "version", "kind", "said"),
    [
        (replace(SEEN, images={}), "arm-7", 0, Invalid, "send exactly the cameras"),
        (replace(SEEN, proprio=np.zeros(9, np.float32)), "arm-7", 0, Invalid, "proprio"),
        (replace(SEEN, proprio=np.full(SEEN.proprio.shape, np.nan, np.float32)), "arm-7", 0, Invalid, "not finite"),
        (SEEN, "", 0, Invalid, "session"),
        (SEEN, "a b", 0, Invalid, "session"),
        (SEEN, "arm-7", 99, NotFound, "policy 99 is not loaded"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_remedy(
    house: House,
    door: Near | PolicyClient,
    seen: Observation,
    session: str,
    version: int,
    kind: type[RampError],
    said: str,
) -> None:
    house.publish()
    with pytest.raises(kind, match=said):
        ask(door, seen, session=session, version=version)


def test_without_a_policy_a_client_tries_until_its_time_is_over(house: House, door: Near | PolicyClient) -> None:
    with pytest.raises(Unavailable, match="no policy that fits"):
        door.infer(SEEN, session="arm-7", timeout=0.1)


def test_pictures_may_be_encoded(house: House) -> None:
    house.publish()
    with PolicyClient(house.address, encoding=Encoding.PNG) as client:
        assert ask(client).version == 1


def test_concurrent_requests_are_answered_each_its_own(house: House) -> None:
    house.publish()
    before = exported("ramp_policy_requests_total", {"code": "OK"})
    with ThreadPoolExecutor(8) as robots:
        answers = list(robots.map(lambda n: ask(house.client, session=f"arm-{n}"), range(24)))

    assert all(answer.chunk.shape == (RECIPE.policy.chunk, 2) for answer in answers)
    assert exported("ramp_policy_requests_total", {"code": "OK"}) == before + 24


def busy(house: House, monkeypatch: pytest.MonkeyPatch) -> Decider:
    """A model that has begun to answer somebody and does not come to an end until it may."""
    house.publish()
    agent, slow = house.versions.served(), Decider()
    monkeypatch.setattr(agent, "decide_many", slow.decide_many)
    return slow


def test_a_request_whose_time_is_over_is_not_computed(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = busy(house, monkeypatch)
    before = exported("ramp_policy_requests_total", {"code": "DEADLINE_EXCEEDED"})
    with ThreadPoolExecutor(1) as robot:
        first = robot.submit(ask, house.client)
        assert slow.began.wait(10)
        with pytest.raises(Timeout):
            Near(house.core).infer(SEEN, session="arm-8", timeout=0.05)
        slow.may.set()
        assert first.result(10).batch == 1

    assert ask(house.client).batch == 1
    assert slow.batches == [1, 1]
    assert exported("ramp_policy_requests_total", {"code": "DEADLINE_EXCEEDED"}) == before + 1


def test_a_full_queue_refuses_with_a_time_to_come_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as stack:
        house = House(tmp_path, stack, most=1)
        slow = busy(house, monkeypatch)
        robots = stack.enter_context(ThreadPoolExecutor(2))
        stack.callback(slow.may.set)
        robots.submit(ask, house.client, session="a")
        assert slow.began.wait(10)
        queued = threading.Event()
        monkeypatch.setattr(house.waiting, "put", _telling(house.waiting.put, queued))
        robots.submit(ask, house.client, session="b")
        assert queued.wait(10)
        with pytest.raises(OverQuota) as refused:
            Near(house.core).infer(SEEN, session="c")

        assert refused.value.field == "queue"
        assert refused.value.retry_after_s > 0


def _telling(put: object, told: threading.Event) -> object:
    def telling(ask: object) -> None:
        put(ask)  # type: ignore[operator]
        told.set()

    return telling


def test_health_says_whether_there_is_something_to_serve(house: House) -> None:
    with grpc.insecure_channel(house.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)

        def status(service: str) -> int:
            return health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status

        living = health_pb2.HealthCheckResponse.SERVING
        assert (status(""), status(SERVICE)) == (living, health_pb2.HealthCheckResponse.NOT_SERVING)
        house.publish()
        house.server.say_ready()
        assert status(SERVICE) == living


def test_it_tells_what_it_serves(house: House) -> None:
    assert (house.client.served().version, house.client.served().schema) == (0, None)
    version = house.publish()

    served = house.client.served()

    assert (served.version, served.loaded, served.alias, served.mode) == (version, (version,), "latest", "standard")
    assert served.schema == house.versions.served().schema
    assert served.horizon == RECIPE.policy.chunk


@pytest.mark.parametrize(
    ("secret", "refusal"),
    [("robot", None), ("actor", None), ("operator", None), ("learner", Denied), ("stranger", Unauthenticated)],
)
def test_robots_actors_and_operators_may_ask(tmp_path: Path, secret: str, refusal: type[RampError] | None) -> None:
    gate = gate_knowing(tmp_path, "operator")
    for role in (Role.ROBOT, Role.ACTOR, Role.LEARNER):
        know(tmp_path / "tokens.yaml", role, role)
    with ExitStack() as stack:
        house = House(tmp_path, stack, gate=gate)
        house.publish()
        client = stack.enter_context(PolicyClient(house.address, credentials=Credentials(token=secret)))
        if refusal is None:
            assert ask(client).version == 1
        else:
            with pytest.raises(refusal):
                ask(client)


def test_a_call_without_a_deadline_is_refused(house: House) -> None:
    with grpc.insecure_channel(house.address) as channel:
        method = channel.unary_unary(
            f"/{SERVICE}/Infer", wire.InferRequest.SerializeToString, wire.InferResponse.FromString
        )
        with pytest.raises(grpc.RpcError, match="deadline"):
            method(wire.InferRequest())
