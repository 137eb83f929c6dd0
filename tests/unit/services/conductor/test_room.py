"""The conductor foresees where the rate limiter will close."""

from __future__ import annotations

import math

from ramp.recipes.recipe import ReplayConfig
from ramp.replay.info import Limits, ReplayInfo, TableInfo
from services.actor.assignment import Assignment
from services.conductor import journal
from services.conductor.ledger import Ledger, apply
from services.conductor.room import Room
from services.conductor.schedule import Dispatch
from tests.unit.services.conductor.summaries import summary

SAMPLING = ReplayConfig(samples_per_insert=2.0, slack=100.0)
ROLLOUT = Dispatch(Assignment(purpose="rollout", task="a", seed=1, tables=("online",)))


def info(*, episodes: int, items: int, lead: float) -> ReplayInfo:
    table = TableInfo(
        name="online",
        episodes=episodes,
        items=items,
        steps=4 * items,
        inserted_items=items,
        sampled_items=0,
        lead=lead,
        insert_wait_s=0.0,
        sample_wait_s=0.0,
        labelled=0.0,
    )
    return ReplayInfo(
        tables=(table,),
        limits=Limits(),
        annotation_version=0,
        disk_bytes=0,
        open_episodes=0,
        quarantined_segments=0,
    )


def test_room_is_unknown_before_there_is_an_episode() -> None:
    room = Room(SAMPLING)
    assert room.rollouts(Ledger(), []) == math.inf
    room.look(info(episodes=0, items=0, lead=0.0), Ledger())
    assert room.rollouts(Ledger(), []) == math.inf


def test_room_counts_items_per_episode_and_what_is_under_way() -> None:
    room, ledger = Room(SAMPLING), Ledger()
    room.look(info(episodes=4, items=20, lead=40.0), ledger)  # (100 - 40) / 2 = 30 items of 5 an episode
    assert room.rollouts(ledger, []) == 6
    assert room.rollouts(ledger, [ROLLOUT] * 4) == 2
    for seed in range(3):
        apply(ledger, journal.Episode(summary=summary("rollout", "a", seed), actor="actor-0"))
    assert room.rollouts(ledger, [ROLLOUT] * 4) == -1


def test_a_newer_answer_of_replay_replaces_the_reckoning() -> None:
    room, ledger = Room(SAMPLING), Ledger()
    room.look(info(episodes=4, items=20, lead=100.0), ledger)
    assert room.rollouts(ledger, []) == 0
    room.look(info(episodes=4, items=20, lead=90.0), ledger)
    assert room.rollouts(ledger, []) == 1
