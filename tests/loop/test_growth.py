"""The bench of a growing replay shard runs through: each size goes on where a kill ended the last one."""

from __future__ import annotations

import pytest

from benchmarks import growth

pytestmark = pytest.mark.loop


def test_a_small_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "QUICK", (500, 1000))

    rows = growth.run(quick=True)

    assert [row["value"] for row in rows] == [500, 1000]
    assert all(row["append_steps_per_s"] > 0 and row["start_s"] > 0 and row["disk_MiB"] > 0 for row in rows)
