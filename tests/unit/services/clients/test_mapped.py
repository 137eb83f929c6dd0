"""Frames from the server's own segment files: only where they are the very same, and as long as they are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rampwire.v1 import replay_pb2 as wire

from ramp.errors import Corrupt
from ramp.replay.local import LocalReplay
from ramp.replay.shard import Shard, ShardConfig
from ramp.types import Batch, Order, SampleSpec
from services.clients import mapped
from services.clients.flight import Lanes
from services.clients.mapped import SegmentMaps, same_files
from services.clients.replay import ReplayClient
from services.clients.road import Road
from services.replay.bulk import announced
from services.replay.core import ReplayCore
from services.replay.flight import FlightDoor, one_token
from services.replay.server import ReplayServer
from tests.experience import CAMERAS, store_episode

SPEC = SampleSpec(table="demos", batch_size=32, chunk=2, horizons=(4,))


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Shard]:
    shard = Shard(tmp_path / "shard", ShardConfig(segment_bytes=4096))
    yield shard
    shard.close()


@pytest.fixture
def segments(shard: Shard, tmp_path: Path) -> Path:
    return tmp_path / "shard" / "segments"


@pytest.fixture
def client(shard: Shard, segments: Path) -> Iterator[ReplayClient]:
    core = ReplayCore(shard)
    door = FlightDoor(core, one_token(""), segments)
    server = ReplayServer(core, bulk=door.start("127.0.0.1", 0))
    with ReplayClient(f"127.0.0.1:{server.start('127.0.0.1', 0)}", name="learner") as found:
        yield found
    door.stop(0.2)
    server.stop(0.2)


def check(batch: Batch) -> None:
    for row, name in enumerate(batch.episode_id):
        for camera in CAMERAS:
            assert batch.images[camera][row].flatten()[:2].tolist() == [batch.step[row], int(name)]


def test_only_who_reads_the_nonce_on_this_kernel_sees_the_same_files(tmp_path: Path) -> None:
    bulk = announced(tmp_path, 1)
    assert same_files(bulk)
    for change in ({"nonce": "0" * 32}, {"nonce": ""}, {"host": "another"}, {"directory": str(tmp_path / "no")}):
        other = wire.Bulk()
        other.CopyFrom(bulk)
        for name, value in change.items():
            setattr(other, name, value)
        assert not same_files(other)
    announced(tmp_path, 1)
    assert not same_files(bulk), "an earlier life's word"


@pytest.mark.parametrize("road", Road)
def test_a_learner_beside_the_server_takes_frames_from_the_files_unless_told_otherwise(
    shard: Shard, client: ReplayClient, monkeypatch: pytest.MonkeyPatch, road: Road
) -> None:
    opened: set[str] = set()
    asked: list[str] = []
    mapped_before, asked_before = SegmentMaps.__call__, Lanes._ask

    def mapping(maps: SegmentMaps, segment: str) -> np.ndarray:
        opened.add(segment)
        return mapped_before(maps, segment)

    def asking(lanes: Lanes, places: bool) -> Any:
        asked.append("places" if places else "frames")
        return asked_before(lanes, places)

    monkeypatch.setattr(SegmentMaps, "__call__", mapping)
    monkeypatch.setattr(Lanes, "_ask", asking)
    for number in range(3):
        store_episode(LocalReplay(shard), str(number), seed=number)
    with ReplayClient(client.address, name="other", road=road) as other:
        check(next(other.sample(SPEC, timeout=30)))
    assert set(asked) == {Road.GRPC: set(), Road.FLIGHT: {"frames"}, Road.MAPPED: {"places"}}[road]
    assert bool(opened) == (road is Road.MAPPED)


def test_frames_of_a_segment_that_grows_are_found(shard: Shard, client: ReplayClient) -> None:
    stream = client.sample(SampleSpec(table="demos", batch_size=6, chunk=1, order=Order.LIFO), timeout=30)
    for number in range(8):
        store_episode(LocalReplay(shard), str(number), seed=number)
        while (batch := next(stream)).episode_id[0] != str(number):
            check(batch)
        check(batch)


def test_a_dropped_segment_can_be_read_until_its_second_sweep(shard: Shard, segments: Path) -> None:
    for number in range(8):
        store_episode(LocalReplay(shard), str(number), seed=number)
    outline, _ = shard.table("demos").outline(SPEC, np.random.default_rng(0), 5)
    name = next(iter(outline.images.values())).names[0]
    before = shard.table("demos").pixels(name).copy()
    mapped_before, fresh = SegmentMaps(segments), SegmentMaps(segments)
    mapped_before(name)
    shard.delete([str(number) for number in range(7)], "a test")
    shard.keep()
    assert not (segments / name).exists()
    np.testing.assert_array_equal(fresh(name), before)
    shard.keep()
    shard.keep()
    assert list(segments.glob(f".{name}")) == []
    np.testing.assert_array_equal(mapped_before(name), before)  # who has it open keeps it
    with pytest.raises(Corrupt, match="cannot be mapped"):
        SegmentMaps(segments)(name)


def test_maps_of_dropped_segments_are_let_go_with_the_next_one(
    shard: Shard, segments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(8):
        store_episode(LocalReplay(shard), str(number), seed=number)
    names = sorted(path.name for path in segments.glob("*.arrows"))
    maps = SegmentMaps(segments)
    maps(names[0])
    (segments / names[0]).rename(segments / "elsewhere")
    maps(names[1])
    assert list(maps._maps) == names[1:2]
    monkeypatch.setattr(mapped, "MOST", 1)
    maps(names[2])
    assert list(maps._maps) == names[2:3]


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "000009.arrows", ".nonce"])
def test_other_files_are_not_mapped(shard: Shard, segments: Path, name: str) -> None:
    with pytest.raises(Corrupt):
        SegmentMaps(segments)(name)


def test_a_learner_whose_files_vanish_goes_on_over_the_wire(
    shard: Shard, client: ReplayClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(maps: SegmentMaps, segment: str) -> Any:
        raise Corrupt(f"segment {segment} cannot be mapped")

    store_episode(LocalReplay(shard), "5", seed=5)
    monkeypatch.setattr(SegmentMaps, "__call__", refuse)
    stream = client.sample(SPEC, timeout=30)
    for _ in range(3):
        check(next(stream))
