"""What the replay structure tells of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ramp.types import Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far an episode has come: the answer to every append."""

    next_batch: int  # the batch number that is expected next
    ended: bool  # END is durable


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeInfo:
    """One ended episode, without its steps."""

    episode_id: str
    task: str
    outcome: Outcome
    steps: int
    frames: int
    human_steps: int
    policy_version: int  # of the last step
    tables: tuple[str, ...]
    seed: int
    ended_at: float = 0.0  # seconds since 1970, by the clock of its shard


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotateResult:
    """What a committed generation holds."""

    episodes: int
    items: int
    positive: float  # share of items with indicator 1


@dataclass(frozen=True, kw_only=True, slots=True)
class TableInfo:
    """Fill, flow and waits of one table."""

    name: str
    episodes: int
    items: int  # steps that carry a frame and can be drawn
    steps: int
    inserted_items: int
    sampled_items: int
    lead: float  # of the rate limiter; 0 where there is none
    insert_wait_s: float
    sample_wait_s: float
    labelled: float  # share of items with an indicator
    episodes_by_task: Mapping[str, int] = field(default_factory=dict)
    unseen_by_task: Mapping[str, int] = field(default_factory=dict)  # items that were never drawn, since the start
    dropped_by_task: Mapping[str, int] = field(default_factory=dict)  # items drawn as often as they may be


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds that a producer or a learner has to keep."""

    max_message_bytes: int = 32 * 2**20
    max_steps_per_batch: int = 4096
    max_episode_steps: int = 100_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayInfo:
    """The whole shard at one moment."""

    tables: tuple[TableInfo, ...]
    limits: Limits
    annotation_version: int  # world-model version of the current labels; 0: none
    disk_bytes: int
    open_episodes: int
    quarantined_segments: int  # places on disk where bytes were not what had been written
    deleted_episodes: int = 0  # ids that were deleted and stay taken
    disk_free_bytes: int = 0  # that the shard's volume still takes
    now: float = 0.0  # seconds since 1970, by the clock that dates the ends of episodes: none has ended later

    def table(self, name: str) -> TableInfo | None:
        return next((table for table in self.tables if table.name == name), None)
