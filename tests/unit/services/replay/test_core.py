"""The gauges tell what the shard tells, and a failed disk is noticed."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ramp.errors import Unavailable
from ramp.replay.gather import gather
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, Outcome, SampleSpec
from services.common import codec, metrics
from services.replay.core import ReplayCore, Watch
from tests.experience import SCHEMA, make_header, make_steps, store_episode


def value(gauge: object, *labels: str) -> float:
    return float((gauge.labels(*labels) if labels else gauge)._value.get())  # type: ignore[attr-defined]


def value_sum(histogram: object, *labels: str) -> float:
    return float(histogram.labels(*labels)._sum.get())  # type: ignore[attr-defined]


def test_gauges_follow_the_shard(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard), tables=("online",))
    Watch(shard, lambda: None).observe()
    assert value(metrics.REPLAY_ITEMS, "online") == 6
    assert value(metrics.REPLAY_EPISODES, "online") == 1
    assert value(metrics.REPLAY_DISK) == shard.info().disk_bytes
    shard.close()


def test_making_a_batch_is_not_counted_as_waiting_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still but for the copying of pixels, which takes an hour."""
    shard, clock = Shard(tmp_path, ShardConfig()), [0.0]
    store_episode(LocalReplay(shard))

    def slow_gather(*arguments: Any) -> Batch:
        clock[0] += 3600
        return gather(*arguments)

    monkeypatch.setattr("ramp.replay.table.gather", slow_gather)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    spec = SampleSpec(table="demos", batch_size=2, chunk=1)
    before = value_sum(metrics.REPLAY_SAMPLE_SECONDS, "demos")
    data = ReplayCore(shard).sampled(spec, shard.generator(), lambda: True)
    assert data is not None
    assert codec.sampled_from_bytes(data)[1] == 0
    assert value_sum(metrics.REPLAY_SAMPLE_SECONDS, "demos") - before == 3600
    shard.close()


def test_what_comes_again_is_counted_once(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    core, steps, ended = (
        ReplayCore(shard),
        value(metrics.REPLAY_APPENDED_STEPS),
        value(metrics.REPLAY_ENDED_EPISODES, "demos"),
    )
    arrow = codec.steps_to_ipc(make_steps(0, 12), SCHEMA)
    for _ in range(3):
        core.begin(make_header())
        core.append("e0", 0, arrow)
        core.end("e0", Outcome.SUCCESS, 1, lambda: True)
    assert value(metrics.REPLAY_APPENDED_STEPS) - steps == 12
    assert value(metrics.REPLAY_ENDED_EPISODES, "demos") - ended == 1
    shard.close()


def test_a_failed_fsync_is_final_acknowledges_nothing_and_calls_for_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the page cache held is not trusted any more: the next process reads what the disk holds."""
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard), "before")
    noticed = threading.Event()
    watch = Watch(shard, noticed.set, period_s=0.01)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        with pytest.raises(Unavailable, match="fsync"):
            shard.begin(make_header("during"))
    with pytest.raises(Unavailable, match="restarted"):
        shard.begin(make_header("after"))
    assert shard.fetch("before").steps.step[-1] == 23
    watch.start()
    assert noticed.wait(10)
    watch.stop()
    shard.close()
    shard = Shard(tmp_path, ShardConfig())
    assert [info.episode_id for info in shard.query()] == ["before"]
    shard.close()
