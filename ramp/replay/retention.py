"""What may be forgotten: a rule by age, number and bytes for chosen tables, tasks and outcomes."""

from __future__ import annotations

import threading
from collections import OrderedDict
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


class Roll:
    """The ended episodes that a rule is about, oldest first. Nothing here costs more the more there are of them: only
    what comes and what goes is looked at. Thread-safe."""

    def __init__(self, rule: RetentionConfig) -> None:
        self._rule, self._lock = rule, threading.Lock()
        self._subject: OrderedDict[str, Held] = OrderedDict()
        self._bytes = 0
        self._newest = 0.0  # end of any episode, seconds since 1970

    def add(self, held: Held) -> None:
        """One that has just ended, or at a start the next one."""
        with self._lock:
            self._newest = max(self._newest, held.ended_at)
            if self._rule.bounded and _is_subject(held, self._rule):
                self._subject[held.episode_id] = held
                self._bytes += held.size

    def remove(self, episode_id: str) -> None:
        """It is gone, if it was here."""
        with self._lock:
            held = self._subject.pop(episode_id, None)
            self._bytes -= held.size if held else 0

    def expired(self) -> list[str]:
        """Ids to be deleted: the fewest and oldest by which all bounds hold. Ages count back from the newest episode's
        end, not from a clock that may run wild."""
        rule, found = self._rule, list[str]()
        with self._lock:
            too_many = len(self._subject) - rule.max_episodes if rule.max_episodes else 0
            too_much = self._bytes - rule.max_gib * 2**30 if rule.max_gib else 0.0
            oldest = self._newest - rule.max_age_days * DAY_S if rule.max_age_days else float("-inf")
            for each in self._subject.values():
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
