"""The proofs of `make chaos` at small size: what breaks is the machine, not a process alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ramp.replay import durable
from tests.chaos import clocks, connections, disks, kills, power
from tests.chaos.progress import Row

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def test_kills_lose_double_and_reorder_nothing(tmp_path: Path) -> None:
    row = kills.run(count=3, seed=4, folder=tmp_path, writers=3)[0]

    assert row["batches"] > 0


def test_power_cuts_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    row = power.run(count=25, seed=1, folder=tmp_path)[0]

    assert (row["value"], row["cuts"]) == (0, 25)


def test_a_shard_that_forgets_to_sync_names_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "sync", lambda path: None)

    with pytest.raises(AssertionError, match="a cut after"):
        power.run(count=25, seed=1, folder=tmp_path)


@pytest.mark.parametrize("prove", [disks.fill, disks.turn_read_only, disks.hold], ids=lambda prove: prove.__name__)
def test_a_broken_disk_costs_appends_only(tmp_path: Path, prove: Callable[[int, random.Random, Path], Row]) -> None:
    try:
        row = prove(1, random.Random(0), tmp_path)
    except disks.NotPermitted as error:
        pytest.skip(str(error))

    assert row["value"] == 0


def test_jumping_clocks_change_nothing(tmp_path: Path) -> None:
    row = clocks.run(count=40, seed=0, folder=tmp_path)[0]

    assert (row["value"], row["jumps"]) == (0, 40)


def test_broken_connections_are_let_go_of(tmp_path: Path) -> None:
    rows = connections.run(count=100, seed=0, folder=tmp_path)

    assert len(rows) == 7
