"""The ledger counts the same whether events come from a live run or from a journal."""

from __future__ import annotations

import math
from pathlib import Path

from ramp.replay.info import EpisodeInfo
from ramp.types import Kind, Outcome
from services.conductor import adoption, journal
from services.conductor.journal import Journal
from services.conductor.ledger import Ledger, apply, fold, result
from tests.unit.services.conductor.summaries import summary


def adopted(episode_id: str, **changes: object) -> journal.Adopted:
    fields = {
        "task": "a",
        "seed": 3,
        "purpose": "rollout",
        "outcome": "success",
        "steps": 10,
        "frames": 5,
        "human_steps": 0,
        "policy_version": 1,
    }
    return journal.Adopted(episode_id=episode_id, **{**fields, **changes})  # type: ignore[arg-type]


def test_an_episode_counts_once_whether_adopted_before_or_after_its_report() -> None:
    report = journal.Episode(summary=summary("rollout", "a", 3, episode_id="x"), actor="actor-0")
    for events in ([report, adopted("x")], [adopted("x"), report]):
        ledger = fold(events)
        assert (ledger.rollouts["a"], ledger.rollout_steps) == (1, 10)


def test_an_episode_in_a_spool_counts_once_it_is_found_in_replay() -> None:
    report = journal.Episode(summary=summary("demo", "a", 3, episode_id="x", acknowledged=False), actor="actor-0")
    ledger = fold([report])
    assert (ledger.demos["a"], list(ledger.unconfirmed)) == (0, ["x"])
    apply(ledger, adopted("x", purpose="demo"))
    assert (ledger.demos["a"], list(ledger.unconfirmed)) == (1, [])
    assert fold([adopted("x", purpose="demo"), report]) == ledger


def test_orphans_are_what_replay_holds_and_nobody_reported() -> None:
    ledger = fold([journal.Episode(summary=summary("demo", "a", 1, episode_id="known"), actor="actor-0")])
    stored = [stored_episode("known"), stored_episode("orphan")]
    found = adoption.orphans(ledger, stored)
    assert [(each.episode_id, each.purpose) for each in found] == [("orphan", "demo")]
    for event in found:
        apply(ledger, event)
    assert adoption.orphans(ledger, stored) == []
    assert adoption.vanished(ledger, stored) == []


def test_what_replay_has_lost_counts_no_more_and_its_seed_is_not_used_again() -> None:
    ledger = fold([adopted("demo", purpose="demo", seed=4), adopted("rollout", seed=5)])
    lost = adoption.vanished(ledger, [])
    assert [event.episode_id for event in lost] == ["demo", "rollout"]
    for event in [*lost, *lost]:
        apply(ledger, event)
    assert (ledger.demos["a"], ledger.rollouts["a"], ledger.rollout_steps, ledger.rollout_frames) == (0, 0, 0, 0)
    assert ledger.top_seed == {"demo": 4, "rollout": 5}
    assert adoption.vanished(ledger, []) == []


def stored_episode(episode_id: str) -> EpisodeInfo:
    return EpisodeInfo(
        episode_id=episode_id,
        task="a",
        outcome=Outcome.SUCCESS,
        steps=10,
        frames=5,
        human_steps=0,
        policy_version=0,
        tables=("demos",),
        seed=1,
    )


def test_evaluations_are_kept_apart_from_training_data() -> None:
    ledger = fold([journal.Episode(summary=summary("eval", "a", 1000, version=2), actor="actor-0", label="stage2")])
    assert ledger.episodes == {}
    assert list(ledger.tried["stage2", 2]) == [("a", 1000)]


def test_an_evaluation_remembers_how_much_experience_there_was_when_it_began() -> None:
    ledger = Ledger()
    apply(ledger, journal.Episode(summary=summary("rollout", "a", 1), actor="actor-0"))
    apply(ledger, journal.Episode(summary=summary("eval", "a", 1000, version=1), actor="actor-0", label="interim"))
    apply(ledger, journal.Episode(summary=summary("rollout", "a", 2), actor="actor-0"))
    apply(ledger, journal.Episode(summary=summary("eval", "a", 1001, version=1), actor="actor-0", label="interim"))
    assert ledger.begun_at["interim", 1] == 10


def test_the_age_of_a_rollout_is_counted_against_the_newest_version() -> None:
    ledger = Ledger()
    for number in (1, 2, 3):
        apply(ledger, journal.Version(kind="policy", version=number))
    apply(ledger, journal.Episode(summary=summary("rollout", "a", 1, version=1), actor="actor-0"))
    assert ledger.recent["a"][0].age == 2
    assert ledger.newest(Kind.POLICY) == 3
    assert ledger.newest(Kind.WORLD) == 0


def test_time_to_success_is_of_the_successes_alone() -> None:
    episodes = [summary("eval", "a", i, steps=10 * (i + 1), success=i != 2) for i in range(3)]
    found = result(episodes)
    assert (found.episodes, found.successes, found.mean_steps, found.mean_seconds) == (3, 2, 15, 1.5)
    assert math.isnan(result([]).mean_steps)


def test_a_journal_gives_back_the_ledger_it_was_written_from(tmp_path: Path) -> None:
    events = [
        journal.RunStarted(recipe="debug", settings={}, machine={}, commit="", t=1.0),
        journal.Stage(stage="world", t=2.0),
        journal.Episode(summary=summary("demo", "a", 1), actor="actor-0", t=3.0),
        journal.Version(kind="policy", version=1, aliases=("stage2",), t=4.0),
        adopted("y"),
    ]
    path = tmp_path / "journal.jsonl"
    with Journal(path) as file:
        written = [file.write(event) for event in events]
    assert fold(journal.read(path)) == fold(written)
