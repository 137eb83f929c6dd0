"""Accounts of bytes, episodes and calls, by a clock that the test turns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.errors import Invalid, OverQuota
from services.common.access import Client
from services.common.quotas import BURST_S, MIB, Quota, Quotas, parse_quotas
from services.common.tokens import Role

ARM, LEG = Client("arm", Role.ROBOT), Client("leg", Role.ROBOT)
FREE = Client("rollouts", Role.ACTOR)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_bytes_beyond_the_burst_are_refused_until_they_are_paid(clock: Clock) -> None:
    quotas = Quotas({Role.ROBOT: Quota(mib_s=1.0)}, clock=clock)
    quotas.spend(ARM, 10 * MIB)  # one message on credit, however large
    with pytest.raises(OverQuota, match="raise mib_s of robot arm in") as caught:
        quotas.spend(ARM, 1)
    assert caught.value.retry_after_s == pytest.approx(10 - BURST_S + BURST_S / 2)
    quotas.spend(LEG, 1)  # another's account
    quotas.spend(FREE, 1000 * MIB)
    clock.now += caught.value.retry_after_s
    quotas.spend(ARM, MIB // 2)


@given(st.lists(st.tuples(st.integers(0, 5 * MIB), st.floats(0, 3)), max_size=60))
def test_nobody_gets_more_than_its_rate_a_burst_and_one_message(sent: list[tuple[int, float]]) -> None:
    clock, passed = Clock(), 0
    quotas = Quotas({Role.ROBOT: Quota(mib_s=1.0)}, clock=clock)
    for size, pause in sent:
        clock.now += pause
        try:
            quotas.spend(ARM, size)
            passed += size
        except OverQuota:
            continue
    assert passed <= (clock.now + BURST_S) * MIB + 5 * MIB + 1


def test_what_is_sent_to_a_client_puts_it_in_debt_for_a_while(clock: Clock) -> None:
    quotas = Quotas({Role.ROBOT: Quota(mib_s=1.0)}, clock=clock)
    assert quotas.debt_s(ARM) == 0
    quotas.charge(ARM, int(BURST_S * MIB) + 3 * MIB)
    assert quotas.debt_s(ARM) == pytest.approx(3.0)
    clock.now += 4
    assert quotas.debt_s(ARM) == 0
    quotas.charge(FREE, 10**12)
    assert quotas.debt_s(FREE) == 0


def test_an_episode_counts_until_it_is_closed_and_once_only() -> None:
    quotas = Quotas({Role.ROBOT: Quota(episodes=2)})
    assert not quotas.opening(ARM, "e0")
    assert not quotas.opening(ARM, "e1")
    assert quotas.opening(ARM, "e0")
    with pytest.raises(OverQuota, match=r"2 open \(e0, e1\)"):
        quotas.opening(ARM, "e2")
    quotas.opening(LEG, "e2")
    quotas.closed(ARM, "e0")
    quotas.closed(ARM, "never-opened")
    quotas.opening(ARM, "e3")


def test_a_call_counts_while_it_lasts_however_it_ends() -> None:
    quotas = Quotas({Role.ROBOT: Quota(calls=1)})
    with quotas.call(ARM), quotas.call(LEG), pytest.raises(OverQuota, match="1 at once"), quotas.call(ARM):
        pass
    with pytest.raises(KeyError), quotas.call(ARM):
        raise KeyError
    with quotas.call(ARM):
        pass


def test_a_named_quota_replaces_that_of_the_role() -> None:
    named = parse_quotas(["leg:0.5:1:0"])
    assert named == {"leg": Quota(mib_s=0.5, episodes=1, calls=0)}
    quotas = Quotas({Role.ROBOT: Quota(episodes=5)}, named)
    quotas.opening(LEG, "a")
    with pytest.raises(OverQuota):
        quotas.opening(LEG, "b")
    quotas.opening(ARM, "a")
    quotas.opening(ARM, "b")


@pytest.mark.parametrize(
    "text", ["arm", "arm:1:1", "arm:1:1:1:1", ":1:1:1", "arm:x:1:1", "arm:1:-1:1", "arm:nan:1:1", "arm:inf:1:1"]
)
def test_a_quota_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="NAME:MIB_S:EPISODES:CALLS"):
        parse_quotas([text])
