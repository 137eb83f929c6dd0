"""Episodes that replay holds and nobody reported: their actor, or the conductor, died between ack and report."""

from __future__ import annotations

from collections.abc import Iterable

from ramp.replay.info import EpisodeInfo
from services.conductor.journal import Adopted
from services.conductor.ledger import Ledger


def orphans(ledger: Ledger, stored: Iterable[EpisodeInfo]) -> list[Adopted]:
    """The stored episodes that the ledger does not know, as events for the journal."""
    return [_adopted(each) for each in stored if each.episode_id not in ledger.episodes]


def missing(ledger: Ledger, stored: Iterable[EpisodeInfo]) -> set[str]:
    """Ids that were acknowledged and that replay does not hold. Always empty, or data was lost."""
    return ledger.episodes - {each.episode_id for each in stored}


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
