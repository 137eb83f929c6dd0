"""Ratios, targets and limits are made of what was measured; what was not measured is said."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.peers.rows import Target, p99, rows
from services.conductor.record import Row

FRAME = 1_000_000  # bytes of a step


def speeds(*steps_per_s: float, server: float = 0.5, client: float = 0.5) -> list[dict[str, float]]:
    """An answer of one second per turn; processors that both sides kept busy."""
    cpu = {"server_cpu_s": server, "client_cpu_s": client}
    return [{"steps": speed, "bytes": speed * FRAME, "seconds": 1.0, **cpu} for speed in steps_per_s]


def updates(*per_s: float) -> list[dict[str, float]]:
    return [{"updates": speed, "seconds": 1.0, "server_cpu_s": 0.9, "client_cpu_s": 0.1} for speed in per_s]


def limit(gb_per_s: float) -> list[dict[str, float]]:
    return [{"bytes": 1e9 * gb_per_s, "seconds": 1.0}] * 3


def calls(*seconds: float, **more: float) -> list[dict[str, Any]]:
    return [{"latencies": list(seconds), **more}]


OURS = {
    "append, ours, grpc": speeds(900, 1000, 2000),
    "append, ours, grpc, spooled": speeds(500, 500, 500),
    "limit: Flight put": limit(2.0),
    "limit: disk": limit(1.25),
    "sample, ours, grpc": speeds(3000, 3000, 3000, server=0.95),
    "JPEG, ours, grpc": speeds(9000, 9000, 9000),
    "decoding of JPEG, ours": [{"frames": 2000, "seconds": 1.0}] * 3,
    "limit: Flight get": limit(4.0),
    "limit: memory": limit(9.0),
    "idle, sample, ours": calls(0.001, 0.001, 0.002),
    "checkpoint, sample, ours": calls(0.001, 0.003, 0.003, checkpoint_s=0.03, checkpoint_bytes=2e9),
    "idle, append, ours": calls(0.010, 0.012),
    "checkpoint, append, ours": calls(0.011, 0.060, checkpoint_s=0.03, checkpoint_bytes=2e9),
    "priorities, ours": updates(300_000, 100_000, 250_000),
    "busy": [{"percent": 3.0}],
}
REVERB = {
    "append, Reverb": speeds(1000, 500, 400),
    "sample, Reverb, client": speeds(1500, 1500, 1500),
    "sample, Reverb, tf.data": speeds(2000, 2000, 6000),
    "checkpoint, sample, Reverb": calls(0.001, 12.0, checkpoint_s=12.0, checkpoint_bytes=5e8),
    "checkpoint, append, Reverb": calls(0.001, 12.0, checkpoint_s=12.0, checkpoint_bytes=5e8),
    "idle, sample, Reverb": calls(0.001),
    "idle, append, Reverb": calls(0.001),
    "priorities, Reverb": updates(200_000, 200_000, 200_000),
}


def row(name: str, found: Any = OURS | REVERB) -> Row:
    return next(each for each in rows(found, "") if each["name"] == name)


def test_a_ratio_is_the_median_of_the_turns_and_of_the_fastest_of_each_side() -> None:
    append = row("append, ours, grpc / append, Reverb")
    sample = row("sample, ours, grpc / sample, Reverb, tf.data")

    assert (append["ratio"], append["value"], append["baseline"], append["unit"]) == (2.0, 1000, 500, "steps/s")
    assert (append["target"], append["reached"]) == ("at least 2", "yes")
    assert (sample["ratio"], sample["reached"]) == (1.5, "yes")


def test_appends_are_held_against_the_slower_of_network_and_disk() -> None:
    found = row("append, ours, grpc / limit: Flight put or limit: disk")

    assert (found["ratio"], found["baseline"], found["unit"]) == (0.8, 1.25, "GB/s")
    assert row("sample, ours, grpc / limit: Flight get")["reached"] == "yes"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "processor time of the server"),
        ({"sample, ours, grpc": speeds(3900, 3900, 3900)}, "limit: Flight get"),
        ({"sample, ours, grpc": speeds(300, 300, 300, server=0.1)}, "waiting"),
        ({"sample, ours, grpc": speeds(300, 300, 300, client=1.2)}, "processor time of the client"),
    ],
)
def test_what_limits_is_found_in_the_figures(changes: dict[str, Any], says: str) -> None:
    assert row("sample, ours, grpc / limit: Flight get", OURS | changes)["limited_by"].startswith(says)


def test_a_mapped_road_is_held_against_loopback_where_there_is_one() -> None:
    mapped = {"sample, ours, mapped": speeds(9000, 9000, 9000)}

    assert row("sample, ours, mapped / sample, ours, grpc", OURS | mapped)["ratio"] == 3
    assert row("sample, ours, grpc / limit: Flight get", OURS | mapped)["value"] == 3  # GB/s, over the loopback
    assert not [each for each in rows(OURS, "") if "mapped" in each["name"]]


def test_pictures_are_held_against_as_many_pixels_and_decoding_stands_apart() -> None:
    found, apart = row("JPEG, ours, grpc / sample, Reverb, tf.data"), row("decoding of JPEG, ours")

    assert (found["ratio"], found["target"], found["reached"]) == (4.5, "at least 4", "yes")
    assert (apart["value"], apart["unit"]) == (2000, "frames/s a core")


def test_the_longest_call_beside_a_checkpoint_counts() -> None:
    sample, append = (row(f"longest {what} beside a checkpoint, ours / Reverb") for what in ("sample", "append"))

    assert (sample["value"], sample["baseline"], sample["reached"]) == (0.003, 12.0, "yes")
    assert (append["value"], append["reached"], append["target"]) == (0.06, "no", "at most 0.05 s")


def test_the_tail_beside_snapshots_is_held_against_the_idle_one() -> None:
    found = row("p99 of one sample, ours beside snapshots / ours idle")

    assert found["ratio"] == pytest.approx(0.003 / 0.00198, rel=1e-3)
    assert found["reached"] == "yes"


def test_figures_of_another_day_say_so() -> None:
    found = row("append, ours, grpc / LeRobot's path from actor to buffer")

    assert (found["baseline"], found["reached"]) == (191, "no")
    assert "not in this run" in found["beside"]


def test_without_reverb_a_row_says_why_and_the_others_are_there() -> None:
    found = rows(OURS, "no network")

    assert found[0] == {"name": "Reverb 0.14", "reached": "not measured: no network"}
    assert not [each for each in found[1:] if "Reverb" in each["name"]]
    assert row("priorities, ours / wanted", OURS)["reached"] == "yes"


def test_speeds_have_their_spread_and_what_they_cost_each_side() -> None:
    found = row("append, ours, grpc")

    assert (found["value"], found["low"], found["high"], found["turns"]) == (1000, 900, 2000, 3)
    assert (found["GB_per_s"], found["server_cpu_us_each"]) == (1.0, 500)
    assert row("checkpoint, sample, ours: one call")["checkpoint_s"] == 0.03
    assert row("processors busy with other work before the run")["value"] == 3.0


def test_targets_and_quantiles() -> None:
    assert Target(2).judge(1.99) == {"target": "at least 2", "reached": "no"}
    assert Target(2, most=True).judge(2.0) == {"target": "at most 2", "reached": "yes"}
    assert p99([float(number) for number in range(101)]) == 99
