"""Where the books and replay differ.

Replay holds what nobody reported: its actor, or the conductor, died between ack and report. It lacks what the books
count: somebody changed its directory, or a part of it was damaged and set aside.
"""

from __future__ import annotations

from collections.abc import Iterable

from ramp.replay.info import EpisodeInfo
from services.conductor.journal import Adopted, Vanished
from services.conductor.ledger import Ledger


def orphans(ledger: Ledger, stored: Iterable[EpisodeInfo]) -> list[Adopted]:
    """The stored episodes that the ledger does not know, as events for the journal."""
    return [_adopted(each) for each in stored if each.episode_id not in ledger.episodes]


def vanished(ledger: Ledger, stored: Iterable[EpisodeInfo]) -> list[Vanished]:
    """The acknowledged episodes that replay does not hold, as events for the journal."""
    lost = ledger.episodes.keys() - {each.episode_id for each in stored}
    return [Vanished(episode_id=episode_id) for episode_id in sorted(lost)]


def _adopted(each: EpisodeInfo) -> Adopted:
    return Adopted(
        episode_id=each.episode_id,
        task=each.task,
        seed=each.seed,
        purpose="demo" if "demos" in each.tables else "rollout",
        outcome=str(each.outcome),
        steps=each.steps,
        frames=each.frames,
        human_steps=each.human_steps,
        policy_version=each.policy_version,
    )
