"""Frames of a run whose replay server is gone: read from its directory, which is left as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ramp.errors import NotFound
from ramp.replay.info import Limits
from ramp.replay.log import Log
from ramp.replay.retention import RetentionConfig
from ramp.replay.store import Store
from ramp.replay.tombstones import Tombstones
from services.conductor.report.stored import stored
from tests.unit.services.conductor.report.made_run import stored_episode


def write(directory: Path, *ids: str) -> None:
    log = Log(directory / "segments")
    store = Store(log, Tombstones(directory / "tombstones"), Limits(), RetentionConfig())
    for episode_id in ids:
        episode = stored_episode(episode_id)
        store.begin(episode.header)
        store.append(episode_id, 0, episode.steps)
        store.end(episode_id, episode.outcome, 1, lambda entry: None)
    log.close()


def test_a_stored_episode_comes_back_without_a_server(tmp_path: Path) -> None:
    write(tmp_path, "a", "b")

    fetch = stored(tmp_path)

    assert fetch is not None
    assert np.array_equal(fetch("b").steps.images["topview"], stored_episode("b").steps.images["topview"])
    with pytest.raises(NotFound):
        fetch("c")


def test_a_torn_tail_is_left_alone_because_a_server_may_be_writing_it(tmp_path: Path) -> None:
    write(tmp_path, "a")
    (segment,) = (tmp_path / "segments").glob("*.arrows")
    torn = segment.read_bytes() + b"\xff\xff\xff\xff\x40\x00"
    segment.write_bytes(torn)

    fetch = stored(tmp_path)

    assert fetch is not None
    assert fetch("a").header.episode_id == "a"
    assert segment.read_bytes() == torn


def test_a_run_without_episodes_has_nothing_to_fetch(tmp_path: Path) -> None:
    assert stored(tmp_path / "replay") is None
    assert not (tmp_path / "replay").exists()
