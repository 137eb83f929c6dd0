"""A rolling upgrade: every shard is drained and started again, one after the other, under writers and a learner. Nobody
is told, nobody fails, and every step that was acknowledged is there once."""

from __future__ import annotations

import pytest

from tests.faults.shard_field import NAMES, Field, busy, check, ground

__all__ = ["ground"]

pytestmark = pytest.mark.faults


def test_every_shard_is_restarted_in_turn_under_load(ground: Field) -> None:
    with busy(ground):
        ground.until(ended=12, shard_0=2, shard_1=2, shard_2=2)
        for name in reversed(NAMES):  # as a StatefulSet does it
            assert ground.servers[name].stop() == 0
            ground.servers[name].start()
            drawn = {each.replace("-", "_"): count + 4 for each, count in ground.drawn.items() if each == name}
            ground.until(ended=len(ground.ended) + 6, **drawn)
    check(ground)
