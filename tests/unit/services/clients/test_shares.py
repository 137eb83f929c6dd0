"""Turns in proportion to what shards hold."""

from __future__ import annotations

from collections import Counter

from services.clients.shares import DEBT, Shares


def drawn(shares: Shares, count: int, among: set[str] | None = None) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(count):
        name = shares.turn(among or shares.members)
        assert name is not None
        shares.drew(name)
        found[name] += 1
    return found


def filled(**weights: float) -> Shares:
    shares = Shares()
    for name, weight in weights.items():
        shares.set(name, weight)
    return shares


def test_draws_follow_the_weights_exactly_and_early() -> None:
    assert drawn(filled(a=60, b=30, c=10), 100) == {"a": 60, "b": 30, "c": 10}
    assert drawn(filled(a=1, b=1), 3).total() == 3
    assert max(drawn(filled(a=5, b=5), 6).values()) == 3


def test_a_shard_without_items_has_no_turn() -> None:
    shares = filled(a=3, b=0)
    assert drawn(shares, 5) == {"a": 5}
    assert filled(a=0).turn({"a"}) is None


def test_a_shard_that_was_left_out_gets_a_part_of_what_it_missed() -> None:
    shares = filled(a=1, b=1)
    assert drawn(shares, 100, among={"a"}) == {"a": 100}
    back = drawn(shares, 20)
    assert back["b"] == 10 + DEBT


def test_new_weights_count_from_the_next_draw_on() -> None:
    shares = filled(a=1, b=1)
    drawn(shares, 10)
    shares.set("b", 3)
    assert drawn(shares, 100)["b"] == 75
