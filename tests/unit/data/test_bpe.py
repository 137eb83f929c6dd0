"""Pairs that merge, and what must survive it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.data.bpe import BytePairs
from ramp.errors import Invalid

SEQUENCES = st.lists(st.lists(st.integers(0, 4), max_size=12), max_size=6)


def test_the_most_frequent_pair_is_merged_first_and_merges_build_on_merges() -> None:
    pairs = BytePairs.train([[0, 1, 2, 0, 1, 2], [0, 1, 3]], symbols=4, size=6)
    assert pairs.merges == ((0, 1), (4, 2))
    assert pairs.encode([[0, 1, 2, 3], [1, 0]]) == [[5, 3], [1, 0]]
    assert pairs.decode([5, 3]) == [0, 1, 2, 3]


def test_of_equally_frequent_pairs_the_smallest_wins() -> None:
    assert BytePairs.train([[3, 2], [0, 1], [3, 2], [0, 1]], symbols=4, size=5).merges == ((0, 1),)


def test_a_run_of_one_symbol_is_merged_from_the_left_without_overlap() -> None:
    pairs = BytePairs(symbols=2, merges=((1, 1),))
    assert pairs.encode([[1, 1, 1], [1, 1, 0, 1, 1, 1, 1]]) == [[2, 1], [2, 0, 2, 2]]


def test_no_pair_is_merged_across_the_end_of_a_sequence() -> None:
    assert BytePairs.train([[0], [1], [0], [1]], symbols=2, size=9).merges == ()


def test_training_stops_where_no_pair_occurs_twice() -> None:
    assert BytePairs.train([[0, 1, 2]], symbols=3, size=9).size == 3


@given(SEQUENCES, SEQUENCES, st.integers(5, 12))
def test_what_is_encoded_comes_back_whatever_was_trained_on(
    seen: list[list[int]], given_later: list[list[int]], size: int
) -> None:
    pairs = BytePairs.train(seen, symbols=5, size=size)
    encoded = pairs.encode(given_later)
    assert [pairs.decode(ids) for ids in encoded] == given_later
    assert all(len(ids) <= len(sequence) for ids, sequence in zip(encoded, given_later, strict=True))
    assert pairs.size <= size


@given(SEQUENCES)
def test_no_learnt_pair_is_left_standing(sequences: list[list[int]]) -> None:
    pairs = BytePairs.train(sequences, symbols=5, size=12)
    for ids in pairs.encode(sequences):
        assert not set(pairwise(ids)) & set(pairs.merges)


@given(SEQUENCES)
def test_pairs_survive_json(sequences: list[list[int]]) -> None:
    pairs = BytePairs.train(sequences, symbols=5, size=9)
    assert BytePairs.from_dict(json.loads(json.dumps(pairs.to_dict()))) == pairs


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: BytePairs.train([[0]], symbols=5, size=4),
        lambda: BytePairs.train([[5]], symbols=5, size=6),
        lambda: BytePairs.train([[-1]], symbols=5, size=6),
        lambda: BytePairs(symbols=5, merges=((0, 5),)),
        lambda: BytePairs(symbols=5, merges=()).decode([5]),
        lambda: BytePairs.from_dict({"symbols": 5}),
    ],
)
def test_what_does_not_fit_is_refused(wrong) -> None:
    with pytest.raises(Invalid):
        wrong()
