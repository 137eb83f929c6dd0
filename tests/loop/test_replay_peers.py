"""The bench of replay runs through: real servers and clients, every row there, also without Reverb."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers.roads import APPEND, SAMPLE
from benchmarks.peers.rows import rows
from benchmarks.replay_peers import QUICK, measured

pytestmark = pytest.mark.loop


def test_a_small_run_without_reverb(tmp_path: Path) -> None:
    found = rows(measured(QUICK, None, tmp_path), "not asked for")

    names = {row["name"] for row in found}
    assert {f"append, ours, {road}" for road in APPEND} | {f"sample, ours, {road}" for road in SAMPLE} <= names
    assert {"limit: Flight put", "limit: Flight get", "limit: disk", "limit: memory", "priorities, ours"} <= names
    assert all(row["ratio"] > 0 for row in found if "ratio" in row)
    assert list(tmp_path.iterdir()) == []  # nothing is left on the disk
