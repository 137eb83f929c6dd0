"""The bench of a growing replay shard runs through: each size goes on where a kill ended the last one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import growth

pytestmark = pytest.mark.loop


def test_a_small_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(growth, "QUICK", (500, 1000))

    rows = growth.grown(tmp_path, growth.QUICK)

    sizes, flatness = rows[:2], rows[2:]
    assert [row["value"] for row in sizes] == [500, 1000]
    assert all(row["append_steps_per_s"] > 0 and row["start_s"] > 0 and row["disk_MiB"] > 0 for row in sizes)
    assert all(row["ratio"] > 0 for row in flatness)
    assert len(flatness) == 4
    monkeypatch.setattr(growth, "_in_process", None)
    assert growth.grown(tmp_path, growth.QUICK) == rows, "what was measured is not measured again"
