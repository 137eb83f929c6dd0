"""The thread that runs the model: who waits together is answered together, by one version."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from services.policy.batcher import Batcher
from services.policy.waiting import Ask, Waiting
from tests.policies import Decider, observation
from tests.unit.services.common.test_metrics import exported

SEEN = observation()


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    queue = Waiting(32)
    batcher = Batcher(queue, max_batch=4, max_wait_s=0.0)
    batcher.start()
    yield queue
    batcher.close()


def put(waiting: Waiting, agent: Decider) -> Ask:
    ask = Ask(agent=agent, observation=SEEN, deadline=time.monotonic() + 60)
    waiting.put(ask)
    return ask


def test_requests_that_come_while_the_model_is_busy_share_its_next_run(waiting: Waiting) -> None:
    agent = Decider()
    first = put(waiting, agent)
    assert agent.began.wait(10)
    others = [put(waiting, agent) for _ in range(5)]
    agent.may.set()

    answers = [each.answer.result(10) for each in (first, *others)]

    assert agent.batches == [1, 4, 1]
    assert [each.batch for each in answers] == [1, 4, 4, 4, 4, 1]
    assert all(each.chunk.shape == (4, 2) and each.version == 1 for each in answers)


def test_a_batch_has_one_version(waiting: Waiting) -> None:
    old, new = Decider(1), Decider(2)
    asks = [put(waiting, old)]
    assert old.began.wait(10)
    asks += [put(waiting, each) for each in (old, new, old, new)]
    old.may.set()
    new.may.set()

    answers = [each.answer.result(10) for each in asks]

    assert [each.version for each in answers] == [1, 1, 2, 1, 2]
    assert (old.batches, new.batches) == ([1, 2], [2])


def test_a_model_that_fails_fails_its_own_batch_alone(waiting: Waiting) -> None:
    bad, good = Decider(1, fails=True), Decider(2)
    bad.may.set()
    good.may.set()
    asks = [put(waiting, bad), put(waiting, good)]

    with pytest.raises(RuntimeError, match="broken"):
        asks[0].answer.result(10)
    assert asks[1].answer.result(10).version == 2


def test_batches_and_their_time_are_counted(waiting: Waiting) -> None:
    before = exported("ramp_policy_batch_items_sum"), exported("ramp_policy_infer_seconds_count")
    agent = Decider()
    agent.may.set()

    put(waiting, agent).answer.result(10)

    assert exported("ramp_policy_batch_items_sum") == before[0] + 1
    assert exported("ramp_policy_infer_seconds_count") == before[1] + 1
