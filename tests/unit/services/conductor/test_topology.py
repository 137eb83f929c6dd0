"""The topology is consistent with itself and with the code it names."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from services.common.settings import Settings
from services.conductor import topology
from services.conductor.topology import ROLES, Home, Role


def test_every_role_comes_after_what_it_needs() -> None:
    order = topology.start_order()
    for role in ROLES:
        assert all(order.index(need) < order.index(role.name) for need in role.needs)


def test_the_conductor_starts_redis_and_replay_as_children() -> None:
    assert {role.name for role in topology.children()} == {"redis", "replay"}


def test_ports_of_a_cluster_do_not_collide() -> None:
    numbers = [port.number for role in ROLES for port in role.ports]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_program_and_every_replica_setting_exists(role: Role) -> None:
    if role.name != "redis":
        assert find_spec(role.program) is not None
    value: object = Settings()
    if not role.replicas.isdecimal():
        for name in role.replicas.split("."):
            value = getattr(value, name)
        assert isinstance(value, int)


def test_what_may_be_lost_is_only_what_redis_holds() -> None:
    assert [role.name for role in ROLES if not role.keeps] == ["redis"]
    assert topology.role("conductor").home is Home.SELF
