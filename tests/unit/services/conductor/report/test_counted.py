"""The report counts the episodes that the books count."""

from __future__ import annotations

from services.conductor import journal
from services.conductor.report.counted import counted
from tests.unit.services.conductor.summaries import summary


def reported(seed: int, *, acknowledged: bool = True) -> journal.Episode:
    return journal.Episode(summary=summary("rollout", "reach", seed, acknowledged=acknowledged), actor="actor-0")


def adopted(seed: int) -> journal.Adopted:
    return journal.Adopted(
        episode_id=f"rollout-reach-{seed}",
        task="reach",
        seed=seed,
        purpose="rollout",
        outcome="success",
        steps=10,
        frames=5,
        human_steps=0,
        policy_version=1,
    )


def names(*events: journal.Event) -> list[str]:
    return [event.summary.episode_id for event in counted(events) if isinstance(event, journal.Episode)]


def test_an_episode_counts_once_however_it_became_known() -> None:
    assert names(reported(1), adopted(1)) == ["rollout-reach-1"]
    assert names(adopted(1), reported(1)) == ["rollout-reach-1"]
    assert names(adopted(2)) == ["rollout-reach-2"]


def test_what_stayed_in_a_spool_counts_once_it_is_adopted() -> None:
    assert names(reported(1, acknowledged=False)) == []
    assert names(reported(1, acknowledged=False), adopted(1)) == ["rollout-reach-1"]


def test_what_replay_lost_does_not_count_unless_it_is_found_again() -> None:
    gone = journal.Vanished(episode_id="rollout-reach-1")
    assert names(reported(1), reported(2), gone) == ["rollout-reach-2"]
    assert names(reported(1), gone, adopted(1)) == ["rollout-reach-1"]
