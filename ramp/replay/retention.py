"""What may be forgotten: a rule by age, number and bytes for chosen tables, tasks and outcomes. Numbers in, ids out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ramp.types import Outcome

DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class RetentionConfig:
    """Which ended episodes are deleted, oldest first. Without any bound nothing ever is.

    Example: RetentionConfig(outcomes=("failure",), max_age_days=30) forgets failed rollouts after a month.
    """

    tables: tuple[str, ...] = ("online", "corrections")  # an episode that lies in any other table as well is kept
    tasks: tuple[str, ...] = ()  # only episodes of these; () all
    outcomes: tuple[str, ...] = ()  # only episodes that ended so: success, failure; () both
    max_age_days: float = 0.0  # since the episode's end; 0 for ever
    max_episodes: int = 0  # of those that the rule is about; 0 any number
    max_gib: float = 0.0  # on disk, of those that the rule is about; 0 any size

    @property
    def bounded(self) -> bool:
        """Whether it can ever delete anything."""
        return bool(self.max_age_days or self.max_episodes or self.max_gib)


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """One ended episode, as the rule sees it."""

    episode_id: str
    task: str
    outcome: Outcome
    tables: tuple[str, ...]
    ended_at: float  # seconds since 1970
    size: int  # bytes on disk


def expired(held: Sequence[Held], rule: RetentionConfig, now: float) -> list[str]:
    """Ids to be deleted, of episodes given oldest first: the fewest by which all bounds hold."""
    if not rule.bounded:
        return []
    subject = [each for each in held if _is_subject(each, rule)]
    too_many = len(subject) - rule.max_episodes if rule.max_episodes else 0
    too_much = sum(each.size for each in subject) - rule.max_gib * 2**30 if rule.max_gib else 0.0
    oldest = now - rule.max_age_days * DAY_S if rule.max_age_days else float("-inf")
    found: list[str] = []
    for each in subject:
        if len(found) >= too_many and too_much <= 0 and each.ended_at >= oldest:
            break
        found.append(each.episode_id)
        too_much -= each.size
    return found


def _is_subject(each: Held, rule: RetentionConfig) -> bool:
    return (
        set(each.tables) <= set(rule.tables)
        and (not rule.tasks or each.task in rule.tasks)
        and (not rule.outcomes or each.outcome in rule.outcomes)
    )
