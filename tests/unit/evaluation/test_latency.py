from __future__ import annotations

import pytest

from ramp.evaluation import latency


def test_warm_calls_are_not_counted_and_one_slow_one_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = [0.0], [0]

    def answer() -> None:
        calls[0] += 1
        clock[0] += 9.0 if calls[0] <= latency.WARM or calls[0] == 20 else 0.25

    monkeypatch.setattr(latency.time, "perf_counter", lambda: clock[0])

    assert latency.median_seconds(answer) == 0.25
    assert calls[0] == latency.WARM + latency.REPEATS
