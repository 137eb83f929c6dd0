"""The gauges tell what the shard tells, and a failed disk is noticed."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from ramp.errors import Unavailable
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from services.common import metrics
from services.replay.core import Watch
from tests.experience import make_header, store_episode


def value(gauge: object, *labels: str) -> float:
    return float((gauge.labels(*labels) if labels else gauge)._value.get())  # type: ignore[attr-defined]


def test_gauges_follow_the_shard(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    store_episode(LocalReplay(shard), tables=("online",))
    Watch(shard, lambda: None).observe()
    assert value(metrics.REPLAY_ITEMS, "online") == 6
    assert value(metrics.REPLAY_EPISODES, "online") == 1
    assert value(metrics.REPLAY_DISK) == shard.info().disk_bytes
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
