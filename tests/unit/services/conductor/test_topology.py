"""The topology is consistent with itself and with the code it names."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import typer

from services.cli.main import app
from services.common.settings import Settings
from services.conductor import topology
from services.conductor.topology import METRICS, ROLES, Home, Role
from services.replay.main import _parse


def test_every_role_comes_after_what_it_needs() -> None:
    order = topology.start_order()
    for role in ROLES:
        assert all(order.index(need) < order.index(role.name) for need in role.needs)


def test_the_conductor_starts_redis_and_replay_as_children() -> None:
    assert {role.name for role in topology.children()} == {"redis", "replay"}


def test_ports_of_a_cluster_do_not_collide() -> None:
    numbers = [port.number for role in ROLES for port in role.ports]
    assert len(set(numbers)) == len(numbers)


def test_the_conductor_s_command_in_a_cluster_is_one_that_ramp_knows() -> None:
    words = topology.command(topology.role("conductor"), release="fleet")
    known = {option for each in typer.main.get_command(app).commands["run"].params for option in each.opts}  # type: ignore[attr-defined]
    assert words[:4] == ("ramp", "run", "--dir", "/runs/fleet")
    assert {word for word in words if word.startswith("--")} <= known


def test_the_ports_in_a_cluster_s_commands_are_those_of_the_roles() -> None:
    replay = topology.role("replay")
    options = _parse(list(topology.command(replay, release="fleet", pod="fleet-replay-0.fleet-replay.robots.svc")[3:]))
    assert (options.port, options.metrics_port) == (replay.port("grpc"), replay.port(METRICS))
    assert options.advertise == "fleet-replay-0.fleet-replay.robots.svc:7001"
    policy = topology.command(topology.role("policy"), release="fleet")
    assert (policy[policy.index("--port") + 1], policy[-1]) == ("7003", "9104")


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_program_and_every_replica_setting_exists(role: Role) -> None:
    if role.program.startswith("services.policy"):
        pytest.importorskip("services.policy", reason="its room is not there yet")
    if "." in role.program:
        assert find_spec(role.program) is not None
    value: object = Settings()
    if not role.replicas.isdecimal():
        for name in role.replicas.split("."):
            value = getattr(value, name)
        assert isinstance(value, int)


def test_what_may_be_lost_is_only_what_redis_holds() -> None:
    assert [role.name for role in ROLES if not role.keeps] == ["redis", "policy"]  # which reads the registry
    assert topology.role("conductor").home is Home.SELF
