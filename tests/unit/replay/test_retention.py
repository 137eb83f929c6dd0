"""The rule deletes the fewest and oldest episodes by which its bounds hold, and nothing that it is not about."""

from __future__ import annotations

import pytest

from ramp.replay.retention import DAY_S, Held, RetentionConfig, Roll
from ramp.types import Outcome

NOW = 100 * DAY_S


def held(number: int, *, age: float = 0.0, size: int = 2**29, **fields: object) -> Held:
    known = {"task": "push", "outcome": Outcome.SUCCESS, "tables": ("online",)} | fields
    return Held(episode_id=f"e{number}", ended_at=NOW - age * DAY_S, size=size, **known)  # type: ignore[arg-type]


def expired(episodes: list[Held], rule: RetentionConfig) -> list[str]:
    """Of these and a new one that no rule here is about."""
    roll = Roll(rule)
    for each in (*episodes, held(99, tables=("elsewhere",))):
        roll.add(each)
    return roll.expired()


TEN = [held(number, age=10 - number) for number in range(10)]


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (RetentionConfig(), 0),
        (RetentionConfig(max_age_days=4), 6),
        (RetentionConfig(max_episodes=7), 3),
        (RetentionConfig(max_gib=4.0), 2),
        (RetentionConfig(max_gib=3.9), 3),
        (RetentionConfig(max_age_days=9, max_episodes=5, max_gib=1.0), 8),
        (RetentionConfig(max_age_days=50, max_episodes=50, max_gib=50), 0),
    ],
)
def test_the_oldest_go_until_every_bound_holds(rule: RetentionConfig, gone: int) -> None:
    assert expired(TEN, rule) == [f"e{number}" for number in range(gone)]


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (RetentionConfig(max_age_days=1), ["e0", "e1", "e2"]),
        (RetentionConfig(max_age_days=1, outcomes=("failure",)), ["e1"]),
        (RetentionConfig(max_age_days=1, tasks=("pull",)), ["e2"]),
        (RetentionConfig(max_age_days=1, tables=("online", "demos")), ["e0", "e1", "e2", "e3", "e4"]),
    ],
)
def test_only_what_the_rule_is_about_goes(rule: RetentionConfig, gone: list[str]) -> None:
    old = [
        held(0, age=5),
        held(1, age=5, outcome=Outcome.FAILURE),
        held(2, age=5, task="pull"),
        held(3, age=5, tables=("demos",)),
        held(4, age=5, tables=("demos", "online")),
    ]
    assert expired(old, rule) == gone


def test_what_is_removed_counts_no_more_and_what_comes_does() -> None:
    roll = Roll(RetentionConfig(max_episodes=3, max_gib=1.5))
    for each in TEN[:3]:
        roll.add(each)
    assert roll.expired() == []
    roll.add(TEN[3])
    assert roll.expired() == ["e0"]
    roll.remove("e1")
    roll.remove("e1")
    assert roll.expired() == []
