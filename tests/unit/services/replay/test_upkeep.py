"""The gauges tell what the shard tells, a failed disk is noticed, and what was deleted leaves the disk."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from ramp.errors import Full, Unavailable
from ramp.replay.local import LocalReplay
from ramp.replay.retention import RetentionConfig
from ramp.replay.shard import Shard, ShardConfig
from services.common import metrics
from services.replay import upkeep
from services.replay.upkeep import Housekeeping, Scrub, Watch
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
        with pytest.raises(Unavailable, match="the disk failed"):
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


def test_what_the_rule_gives_up_is_deleted_and_counted(tmp_path: Path) -> None:
    rule = RetentionConfig(tables=("demos",), max_episodes=2)
    shard = Shard(tmp_path, ShardConfig(retention=rule, segment_bytes=20_000))
    for number in range(12):
        store_episode(LocalReplay(shard), f"e{number}")
    before = value(metrics.REPLAY_DELETED, "retention"), value(metrics.REPLAY_FREED), shard.info().disk_bytes
    assert Housekeeping(shard).turn()
    assert [info.episode_id for info in shard.query()] == ["e10", "e11"]
    assert value(metrics.REPLAY_DELETED, "retention") - before[0] == 10
    assert value(metrics.REPLAY_FREED) - before[1] == before[2] - shard.info().disk_bytes > 0
    shard.close()


def test_a_disk_without_room_is_tried_again_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard, turns = Shard(tmp_path, ShardConfig()), threading.Semaphore(0)

    def refuse() -> None:
        turns.release()
        raise Full("no room")

    monkeypatch.setattr(shard, "keep", refuse)
    housekeeping = Housekeeping(shard, period_s=0.01)
    housekeeping.start()
    assert all(turns.acquire(timeout=10) for _ in range(3))
    housekeeping.stop()
    shard.close()


def test_closed_segments_are_compared_and_then_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = Shard(tmp_path, ShardConfig(segment_bytes=20_000))
    for number in range(6):
        store_episode(LocalReplay(shard), f"e{number}")
    before, scrub = value(metrics.REPLAY_SCRUBBED), Scrub(shard, bytes_per_s=10_000)
    assert all(scrub.turn() for _ in range(200))
    once = value(metrics.REPLAY_SCRUBBED) - before
    closed = sum(size.records for size in shard._log.sealed().values())
    assert 0.9 * closed < once <= closed
    now = upkeep.time.monotonic()
    monkeypatch.setattr(upkeep.time, "monotonic", lambda: now + upkeep.REST_S)
    assert scrub.turn()
    assert value(metrics.REPLAY_SCRUBBED) - before > once
    assert shard.info().quarantined_segments == 0
    shard.close()
