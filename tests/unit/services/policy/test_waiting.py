"""The queue before the model: bounded, in order, and nobody is computed too late."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ramp.errors import OverQuota, Timeout, Unavailable
from services.policy.waiting import Ask, Waiting
from tests.policies import Decider, observation

LONG_S = 60.0
SEEN = observation()


def ask(agent: Decider, seconds: float = LONG_S) -> Ask:
    return Ask(agent=agent, observation=SEEN, deadline=time.monotonic() + seconds)


def test_those_who_wait_for_the_same_agent_are_taken_together_in_order() -> None:
    waiting, one, two = Waiting(8), Decider(1), Decider(2)
    asks = [ask(one), ask(two), ask(one), ask(one)]
    for each in asks:
        waiting.put(each)

    taken = [waiting.take(2, 0.0), waiting.take(2, 0.0), waiting.take(2, 0.0)]

    assert taken == [[asks[0], asks[2]], [asks[1]], [asks[3]]]


def test_the_first_waits_for_company_until_there_is_enough() -> None:
    waiting, agent = Waiting(8), Decider()
    first, second = ask(agent), ask(agent)
    waiting.put(first)
    with ThreadPoolExecutor(1) as taking:
        taken = taking.submit(waiting.take, 2, LONG_S)
        waiting.put(second)

        assert taken.result(10) == [first, second]


def test_a_full_queue_says_when_to_come_again() -> None:
    waiting, agent = Waiting(2), Decider()
    waiting.pace_s = 0.3
    waiting.put(ask(agent))
    waiting.put(ask(agent))

    with pytest.raises(OverQuota, match="2 requests wait") as refused:
        waiting.put(ask(agent))

    assert refused.value.retry_after_s == pytest.approx(0.3)
    assert len(waiting) == 2


def test_whoever_waited_too_long_is_told_and_not_computed() -> None:
    waiting, agent = Waiting(8), Decider()
    late, good = ask(agent, 0.0), ask(agent)
    waiting.put(late)
    waiting.put(good)

    assert waiting.take(8, 0.0) == [good]
    with pytest.raises(Timeout, match="its turn had not come"):
        late.answer.result(0)


def test_whoever_has_gone_takes_no_place() -> None:
    waiting, agent = Waiting(8), Decider()
    gone, good = ask(agent), ask(agent)
    waiting.put(gone)
    waiting.put(good)
    gone.answer.cancel()

    assert waiting.take(8, 0.0) == [good]


def test_a_closed_queue_is_served_to_its_end() -> None:
    waiting, agent = Waiting(8), Decider()
    last = ask(agent)
    waiting.put(last)
    waiting.close()

    with pytest.raises(Unavailable):
        waiting.put(ask(agent))
    assert waiting.take(8, LONG_S) == [last]
    assert waiting.take(8, LONG_S) is None


def test_closing_wakes_whoever_takes() -> None:
    waiting = Waiting(8)
    taken: list[object] = []
    thread = threading.Thread(target=lambda: taken.append(waiting.take(1, 0.0)))
    thread.start()
    waiting.close()
    thread.join(10)

    assert taken == [None]
