"""Drawing from what is left, however much has left and wherever it lay."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ramp.replay.pool import Pool


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_a_pool_is_a_sorted_list_of_what_is_present(rounds: list[tuple[int, float]], seed: int) -> None:
    pool, present, generator = Pool(), np.zeros(0, bool), np.random.default_rng(seed)
    for count, share in rounds:
        pool.append(np.arange(len(present), len(present) + count))
        present = np.append(present, np.ones(count, bool))
        gone = np.flatnonzero(present)[generator.random(int(present.sum())) < share]
        present[gone] = False
        pool.leave(len(gone), present)
        left = np.flatnonzero(present)
        assert len(pool) == len(left)
        for wanted in (1, 3, len(left)):
            assert pool.first(wanted, present).tolist() == left[:wanted].tolist()
            assert pool.last(wanted, present).tolist() == left[::-1][:wanted].tolist()
        if len(left):
            assert set(pool.any(20, present, generator).tolist()) <= set(left.tolist())
    numbers = np.where(present, np.cumsum(present) - 1, -1)
    pool.renumber(numbers)
    assert pool.first(len(pool), np.ones(len(pool), bool)).tolist() == list(range(int(present.sum())))


def test_each_is_as_likely_as_the_others_where_many_have_left() -> None:
    pool, present = Pool(), np.ones(100, bool)
    pool.append(np.arange(100))
    present[20:80] = False
    pool.leave(60, present)
    counts = np.bincount(pool.any(40_000, present, np.random.default_rng(0)), minlength=100)
    assert counts[20:80].sum() == 0
    np.testing.assert_allclose(counts[present] / 40_000, 1 / 40, rtol=0.15)
