"""Making a batch and appending one, timed and counted as they are."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ramp.replay.frames import Outline
from ramp.replay.gather import gather
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Outcome, SampleSpec, Source
from services.common import codec, metrics
from services.replay.core import ReplayCore
from tests.experience import SCHEMA, make_header, make_steps, store_episode


def value(gauge: object, *labels: str) -> float:
    return float((gauge.labels(*labels) if labels else gauge)._value.get())  # type: ignore[attr-defined]


def value_sum(histogram: object, *labels: str) -> float:
    return float(histogram.labels(*labels)._sum.get())  # type: ignore[attr-defined]


def test_making_a_batch_is_not_counted_as_waiting_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still but for the gathering, which takes an hour."""
    shard, clock = Shard(tmp_path, ShardConfig()), [0.0]
    store_episode(LocalReplay(shard))

    def slow_gather(*arguments: Any) -> Outline:
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
        value(metrics.REPLAY_APPENDED_STEPS, "policy"),
        value(metrics.REPLAY_ENDED_EPISODES, "demos"),
    )
    arrow = codec.steps_to_ipc(make_steps(0, 12), SCHEMA)
    for _ in range(3):
        core.begin(make_header())
        core.append("e0", 0, arrow)
        core.end("e0", Outcome.SUCCESS, 1, lambda: True)
    assert value(metrics.REPLAY_APPENDED_STEPS, "policy") - steps == 12
    assert value(metrics.REPLAY_ENDED_EPISODES, "demos") - ended == 1
    shard.close()


def test_steps_are_counted_by_who_acted_and_the_robot_is_heard(tmp_path: Path) -> None:
    shard = Shard(tmp_path, ShardConfig())
    core, human = ReplayCore(shard), value(metrics.REPLAY_APPENDED_STEPS, "human")
    core.begin(make_header())
    core.append("e0", 0, codec.steps_to_ipc(make_steps(0, 12, source=Source.HUMAN), SCHEMA))
    core.robots.tell()
    assert value(metrics.REPLAY_APPENDED_STEPS, "human") - human == 12
    assert value(metrics.REPLAY_ROBOT_HEARD, make_header().robot) > 0
    shard.close()


def test_appends_wait_for_their_fsync_and_then_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = Shard(tmp_path, ShardConfig())
    core, waiting, before = ReplayCore(shard), list[float](), value(metrics.REPLAY_UNSYNCED)
    written = [core.begin(make_header(f"e{number}")) for number in range(3)]
    synced = shard.synced

    def slow(*entries: Any) -> Any:
        waiting.append(value(metrics.REPLAY_UNSYNCED) - before)
        return synced(*entries)

    monkeypatch.setattr(shard, "synced", slow)
    core.sync(written)
    assert (waiting, value(metrics.REPLAY_UNSYNCED)) == ([3.0], before)
    shard.close()
