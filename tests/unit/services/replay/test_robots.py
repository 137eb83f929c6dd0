"""A fleet of any size has few names in Prometheus: those of whom it has to hear."""

from __future__ import annotations

from services.common import metrics
from services.replay.robots import FORGOTTEN_S, NAMED, Robots


def told(gauge: metrics.Gauge) -> dict[str, float]:
    return {sample.labels["robot"]: sample.value for family in gauge.collect() for sample in family.samples}


def test_the_longest_silent_and_the_furthest_behind_are_named() -> None:
    now = [1000.0]
    robots = Robots(lambda: now[0])
    for number in range(100):
        now[0] += 1
        robots.heard(f"arm-{number}", 200 - number)
    robots.heard("arm-0", 7)
    robots.tell()
    assert metrics.REPLAY_ROBOTS._value.get() == 100  # type: ignore[attr-defined]
    assert set(told(metrics.REPLAY_ROBOT_HEARD)) == {f"arm-{number}" for number in range(1, NAMED + 1)}
    assert told(metrics.REPLAY_ROBOT_POLICY)["arm-0"] == 7
    assert len(told(metrics.REPLAY_ROBOT_POLICY)) == NAMED


def test_a_robot_without_a_policy_has_no_version_and_one_that_left_is_forgotten() -> None:
    now = [1000.0]
    robots = Robots(lambda: now[0])
    robots.heard("teacher", 0)
    robots.tell()
    assert told(metrics.REPLAY_ROBOT_HEARD) == {"teacher": 1000.0}
    assert told(metrics.REPLAY_ROBOT_POLICY) == {}
    now[0] += FORGOTTEN_S + 1
    robots.tell()
    assert told(metrics.REPLAY_ROBOT_HEARD) == {}
