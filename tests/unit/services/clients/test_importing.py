"""Folders go into a replay server once, however often that is asked, and come out as they went in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ramp.datasets.dataset import Reading
from ramp.datasets.exporter import Exporter
from ramp.errors import Invalid
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Encoding
from services.clients import importing
from services.clients.importing import import_folder, send
from services.clients.replay import ReplayClient
from services.replay.core import ReplayCore
from services.replay.flight import FlightDoor
from services.replay.server import ReplayServer
from tests.tokens import SHOWN, gate_knowing
from tests.unit.datasets.made import by_hand, make_episode

OWN = Reading()


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    shard = Shard(tmp_path / "shard", ShardConfig())
    yield shard
    shard.close()


@pytest.fixture(params=["grpc", "flight"])
def address(shard: Shard, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    core, gate = ReplayCore(shard), gate_knowing(tmp_path)
    door = FlightDoor(core, gate, tmp_path / "shard" / "segments")
    server = ReplayServer(core, gate, bulk=door.start("127.0.0.1", 0) if request.param == "flight" else None)
    yield f"127.0.0.1:{server.start('127.0.0.1', 0)}"
    door.stop(0.2)
    server.stop(0.2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    exporter = Exporter(tmp_path / "mine", lossless=True)
    for number in range(3):
        exporter.add(make_episode(number), None)
    return exporter.finish()


def test_an_exported_folder_comes_back_as_it_was(shard: Shard, address: str, folder: Path) -> None:
    assert list(import_folder(folder, OWN, address, SHOWN)) == [(3, True)] * 3

    for number in range(3):
        ours, theirs = make_episode(number), shard.fetch(f"made-{number}")
        assert (theirs.header, theirs.outcome) == (ours.header, ours.outcome)
        assert theirs.steps.action.tobytes() == ours.steps.action.tobytes()
        assert theirs.steps.timestamp.tobytes() == ours.steps.timestamp.tobytes()
        for camera, frames in ours.steps.images.items():
            np.testing.assert_array_equal(theirs.steps.images[camera], frames)


def test_pictures_are_stored_as_those_of_the_table_or_as_is_asked(
    shard: Shard, address: str, folder: Path, tmp_path: Path
) -> None:
    assert list(import_folder(folder, OWN, address, SHOWN, Encoding.PNG)) == [(3, True)] * 3
    others = Exporter(tmp_path / "others", lossless=True)
    others.add(make_episode(3), None)
    assert list(import_folder(others.finish(), OWN, address, SHOWN)) == [(1, True)]  # into a table of PNGs

    for number in range(4):
        ours, theirs = make_episode(number), shard.fetch(f"made-{number}")
        assert theirs.header.schema == ours.header.schema.encoded(Encoding.PNG)
        for camera, frames in ours.steps.images.items():
            np.testing.assert_array_equal(theirs.steps.images[camera], frames)


def test_an_import_that_was_stopped_goes_on(
    shard: Shard, address: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = import_folder(folder, OWN, address, SHOWN)
    next(imported)
    imported.close()
    monkeypatch.setattr(importing, "APPEND_STEPS", 1024)
    with ReplayClient(address, name="half", credentials=SHOWN) as client:  # the second one came in part
        client.open(make_episode(1).header).append(make_episode(1).steps)

    assert [new for _, new in import_folder(folder, OWN, address, SHOWN)] == [False, True, True]
    assert [new for _, new in import_folder(folder, OWN, address, SHOWN)] == [False, False, False]
    assert len(shard.query()) == 3


def test_a_long_episode_goes_in_pieces(shard: Shard, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "APPEND_STEPS", 4)
    with ReplayClient(address, name="pieces", credentials=SHOWN) as client:
        send(client, make_episode(0))

    assert len(shard.fetch_parts("made-0")[2]) == 3
    assert shard.fetch("made-0").steps.action.tobytes() == make_episode(0).steps.action.tobytes()


def test_an_episode_that_would_be_refused_leaves_nothing_behind(shard: Shard, address: str) -> None:
    episode = make_episode(0, length=9)
    action = episode.steps.action.copy()
    action[8, 1] = 2.5
    with (
        ReplayClient(address, name="wrong", credentials=SHOWN) as client,
        pytest.raises(Invalid, match=r"2\.5 at step 8"),
    ):
        send(client, replace(episode, steps=replace(episode.steps, action=action)))

    assert shard.info().open_episodes == 0


def test_a_strangers_folder_takes_the_bounds_of_the_table(shard: Shard, address: str, tmp_path: Path) -> None:
    first, second = by_hand(tmp_path / "first", "v3.0"), by_hand(tmp_path / "second", "v2.1")
    reading = Reading(outcome="success", max_steps=40)

    assert [new for _, new in import_folder(first, reading, address, SHOWN)] == [True, True]
    smaller = np.zeros(12, np.float32)
    third = by_hand(tmp_path / "third", "v3.0", action=smaller)
    for folder in (second, third):
        assert [new for _, new in import_folder(folder, reading, address, SHOWN)] == [True, True]

    ids = [info.episode_id for info in shard.query("demos")]
    assert ids[:3] == ["first-000000", "first-000001", "second-000000"]
    assert shard.fetch("third-000000").header.schema == shard.fetch("first-000000").header.schema
