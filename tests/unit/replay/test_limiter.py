"""The limiter holds both sides, never for good, and forgets nothing over a restart."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramp.errors import Invalid, Timeout, Unavailable
from ramp.replay.limiter import Limiter


def limited(min_size: int = 2, ratio: float = 4.0, slack: float = 8.0) -> Limiter:
    return Limiter.Config(min_size=min_size, samples_per_insert=ratio, slack=slack).build()


def test_nothing_is_sampled_before_the_minimum_is_there() -> None:
    limiter = limited()
    limiter.inserted(1)
    with pytest.raises(Timeout):
        limiter.await_sample(1, timeout=0.01)
    limiter.inserted(1)
    limiter.await_sample(1, timeout=0.01)
    assert limiter.samples == 1


def test_sampling_waits_where_it_has_run_too_far_ahead_and_goes_on_after_an_insert() -> None:
    limiter = limited()
    limiter.inserted(2)
    limiter.await_sample(8, timeout=1)
    assert not limiter.may_sample(1)
    with pytest.raises(Timeout):
        limiter.await_sample(1, timeout=0.01)
    assert limiter.sample_wait_s >= 0.01
    done = threading.Event()
    waiter = threading.Thread(target=lambda: (limiter.await_sample(1, timeout=30), done.set()))
    waiter.start()
    limiter.inserted(1)
    waiter.join(30)
    assert done.is_set()


def test_the_time_that_sampling_was_held_back_is_counted() -> None:
    limiter = limited()
    with pytest.raises(Timeout):
        limiter.await_sample(1, timeout=0.05)
    assert limiter.sample_wait_s >= 0.05


def test_inserting_waits_where_the_learner_lags_and_goes_on_after_samples() -> None:
    limiter = limited()
    limiter.inserted(4)
    with pytest.raises(Timeout, match="inserting"):
        limiter.await_insert(timeout=0.01)
    limiter.await_sample(4, timeout=1)
    limiter.await_insert(timeout=1)


@given(st.integers(1, 50), st.floats(0.1, 100), st.floats(1, 1000), st.integers(1, 64), st.integers(0, 300))
def test_at_no_moment_do_both_sides_wait(min_size: int, ratio: float, slack: float, batch: int, moves: int) -> None:
    try:
        limiter = Limiter.Config(min_size=min_size, samples_per_insert=ratio, slack=slack).build()
        limiter.check_batch(batch)
    except Invalid:
        return
    for _ in range(moves):
        assert limiter.may_insert() or limiter.may_sample(batch)
        if limiter.may_sample(batch):
            limiter.await_sample(batch, timeout=0)
        else:
            limiter.inserted(1)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"min_size": 0}, "min_size"),
        ({"samples_per_insert": 0.0}, "samples_per_insert"),
        ({"samples_per_insert": float("nan")}, "samples_per_insert"),
        ({"samples_per_insert": 4.0, "slack": 3.9}, "slack"),
        ({"samples_per_insert": 0.5, "slack": 0.9}, "slack"),
    ],
)
def test_a_configuration_that_would_block_for_good_cannot_exist(values: dict[str, float], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        Limiter.Config(**values)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_a_batch_beyond_twice_the_slack_is_refused() -> None:
    limited(slack=8.0).check_batch(16)
    with pytest.raises(Invalid, match="batch_size"):
        limited(slack=8.0).check_batch(17)


def test_counters_come_back_and_unknown_samples_mean_no_lead() -> None:
    limiter = limited()
    limiter.restore(6, 4, 20)
    assert (limiter.inserts, limiter.samples, limiter.lead) == (10, 20, 12.0)
    limiter.restore(10, 0, None)
    assert limiter.lead == 0.0
    limiter.restore(1, 0, None)
    assert limiter.samples == 0


def test_sampling_waits_for_as_many_items_as_are_wanted() -> None:
    limiter = limited(min_size=2)
    limiter.inserted(4)
    assert limiter.may_sample(1, present=4)
    assert not limiter.may_sample(1, present=5)
    limiter.removed(3)
    assert not limiter.may_sample(1)
    limiter.inserted(1)
    assert limiter.may_sample(1)
    assert limiter.inserts == 5


def test_closing_wakes_whoever_waits() -> None:
    limiter = limited()
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            limiter.await_sample(1, timeout=30)
        except Unavailable as error:
            caught.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    limiter.close()
    waiter.join(30)
    assert len(caught) == 1
