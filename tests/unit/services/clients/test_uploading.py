"""Whole episodes through the Flight door: once, whatever breaks, and nothing of what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import flight

from ramp.errors import Conflict, Invalid, Timeout, Unavailable
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Episode, Outcome
from services.clients import uploading
from services.clients.uploading import Uploader
from services.replay.core import ReplayCore
from services.replay.flight import FlightDoor, one_token
from tests.experience import make_header, make_steps

STEPS = [make_steps(begin, begin + 4) for begin in range(0, 80, 4)]


def episode(name: str = "e0", **header: Any) -> Episode:
    return Episode(header=make_header(name, **header), steps=make_steps(0, 80), outcome=Outcome.SUCCESS)


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    shard = Shard(tmp_path, ShardConfig())
    yield shard
    shard.close()


@pytest.fixture
def client(shard: Shard, tmp_path: Path) -> Iterator[flight.FlightClient]:
    door = FlightDoor(ReplayCore(shard), one_token(""), tmp_path / "segments")
    with flight.FlightClient(("127.0.0.1", door.start("127.0.0.1", 0).flight_port)) as found:
        yield found
    door.stop(0.2)


def test_an_episode_arrives_once_however_often_it_is_sent(
    shard: Shard, client: flight.FlightClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "WAITING", 3)
    uploader = Uploader(client, ())
    for _ in range(2):
        uploader.send(episode(), STEPS, 30)
    assert [info.steps for info in shard.query()] == [80]
    np.testing.assert_array_equal(shard.fetch("e0").steps.proprio, make_steps(0, 80).proprio)
    with pytest.raises(Conflict, match="outcome"):
        uploader.send(replace(episode(), outcome=Outcome.FAILURE), STEPS, 30)


def test_of_a_refused_episode_nothing_is_left(shard: Shard, client: flight.FlightClient) -> None:
    bad = make_steps(76, 80)
    bad.action[1, 0] = np.nan
    with pytest.raises(Invalid) as caught:
        Uploader(client, ()).send(episode(), [*STEPS[:-1], bad], 30)
    assert (caught.value.field, caught.value.value) == ("action", "nan at step 77, dimension 0")
    assert (shard.info().open_episodes, shard.query()) == (0, [])


def test_a_broken_connection_is_made_again(
    shard: Shard, client: flight.FlightClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, original = iter([None, None, Unavailable("away"), None, Timeout("slow")]), uploading._take

    def take(*arguments: Any) -> None:
        if (trouble := next(answers, None)) is not None:
            raise trouble
        original(*arguments)

    monkeypatch.setattr(uploading, "_take", take)
    Uploader(client, ()).send(episode(), STEPS, 30)
    assert list(answers) == []
    assert [info.steps for info in shard.query()] == [80]


def test_a_server_that_stays_away_is_told(client: flight.FlightClient) -> None:
    with flight.FlightClient(("127.0.0.1", 1)) as nobody, pytest.raises((Unavailable, Timeout)):
        Uploader(nobody, ()).send(episode(), STEPS, 0.3)
