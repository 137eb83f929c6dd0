"""Who a shard is, and where others find it."""

from __future__ import annotations

import pytest

from ramp.errors import Invalid
from services.common.settings import compose
from services.replay.announcing import Identity, name_of_host


@pytest.mark.parametrize(
    ("host", "name"),
    [("fleet-replay-0", "shard-0"), ("replay-12", "shard-12"), ("replay-3.replay.robots.svc.cluster.local", "shard-3")],
)
def test_a_pods_number_is_its_shards(host: str, name: str) -> None:
    assert name_of_host(host) == name


@pytest.mark.parametrize("host", ["laptop", "replay-a", "replay-"])
def test_a_host_without_a_number_is_told_what_to_do(host: str) -> None:
    with pytest.raises(Invalid, match="--shard"):
        name_of_host(host)


def test_others_call_a_shard_by_what_it_advertises() -> None:
    shard = Identity(name="shard-1", advertised="replay-1.replay.robots.svc:7001")
    assert shard.address("0.0.0.0", 7001) == "replay-1.replay.robots.svc:7001"
    assert shard.host == "replay-1.replay.robots.svc"
    assert Identity(name="shard-1").address("127.0.0.1", 4711) == "127.0.0.1:4711"
    assert "0.0.0.0" not in Identity(name="shard-1").address("0.0.0.0", 4711)


def test_only_shards_of_one_machine_take_flight_ports_in_a_row() -> None:
    settings = compose("counting", None, ["replay.shards=2", "replay.flight_port=7002"])
    assert Identity(name="shard-1").flight_port(settings) == 7003
    assert Identity(name="shard-1", advertised="replay-1:7001").flight_port(settings) == 7002


@pytest.mark.parametrize("words", [{"name": "Shard 1"}, {"name": "shard-1", "advertised": "replay-1"}])
def test_what_nobody_could_call_is_refused(words: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        Identity(**words)
