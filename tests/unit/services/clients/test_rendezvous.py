"""Homes of episodes: even, the same for everybody, and hardly moved by a shard that comes or goes."""

from __future__ import annotations

from collections import Counter

import pytest

from services.clients.rendezvous import home, ranking, weight

IDS = [f"rollout-reach-v3-{number}" for number in range(10_000)]
FOUR = [f"shard-{number}" for number in range(4)]


def test_every_shard_gets_about_its_part_of_the_ids() -> None:
    assert Counter(home(each, FOUR) for each in IDS) == {
        "shard-0": 2490,
        "shard-1": 2513,
        "shard-2": 2482,
        "shard-3": 2515,
    }


def test_a_fifth_shard_takes_a_fifth_from_all_others_and_moves_nothing_between_them() -> None:
    five = [*FOUR, "shard-4"]
    moved = [each for each in IDS if home(each, FOUR) != home(each, five)]
    assert {home(each, five) for each in moved} == {"shard-4"}
    assert len(moved) == 2053
    assert min(Counter(home(each, FOUR) for each in moved).values()) > 450


def test_a_shard_that_goes_leaves_all_others_where_they_were() -> None:
    three = FOUR[:-1]
    moved = [each for each in IDS if home(each, FOUR) != home(each, three)]
    assert {home(each, FOUR) for each in moved} == {"shard-3"}
    assert len(moved) == sum(home(each, FOUR) == "shard-3" for each in IDS)


def test_the_order_of_the_names_does_not_matter_and_the_ranking_begins_at_home() -> None:
    for each in IDS[:100]:
        assert home(each, FOUR) == home(each, reversed(FOUR)) == ranking(each, FOUR)[0]
        assert sorted(ranking(each, FOUR)) == FOUR


def test_weights_are_the_same_for_ever() -> None:
    """What lies on a disk was routed by them."""
    assert weight("e0", "shard-0") == 10845864856443755563
    with pytest.raises(ValueError, match="empty"):
        home("e0", [])
