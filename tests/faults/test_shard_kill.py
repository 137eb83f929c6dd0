"""One of three replay shards is killed under writers and a learner, Redis is flushed meanwhile, and it comes back at
another port: the others' work goes on, and nothing acknowledged is lost or doubled."""

from __future__ import annotations

import pytest

from tests.faults.shard_field import Field, busy, check, ground

__all__ = ["ground"]

pytestmark = pytest.mark.faults

VICTIM = "shard-1"


def test_a_shard_is_taken_away_and_brought_back_under_load(ground: Field) -> None:
    victim = ground.servers[VICTIM]
    with busy(ground):
        ground.until(ended=12, shard_0=2, shard_1=2, shard_2=2)
        victim.kill()
        ground.redis.flush()
        before = dict(ground.drawn)
        written = len(ground.ended)
        ground.until(elsewhere=written + 8, than=VICTIM, shard_0=before["shard-0"] + 8, shard_2=before["shard-2"] + 8)
        before = dict(ground.drawn)
        victim.forget_address()
        victim.start()
        ground.until(ended=len(ground.ended) + 4, shard_1=before["shard-1"] + 8)  # more than was read ahead
    check(ground)
