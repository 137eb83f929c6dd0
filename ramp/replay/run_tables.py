"""The tables of a run."""

from __future__ import annotations

from ramp.replay.limiter import Limiter
from ramp.replay.table import TableConfig

TABLES = ("demos", "online")
"""Of a run."""


def shard_tables(
    *, min_items: int, samples_per_insert: float, slack: float, human_priority: float
) -> dict[str, TableConfig]:
    """The two tables of a run: demonstrations, never limited, and online experience, which is."""
    limited = Limiter.Config(min_size=min_items, samples_per_insert=samples_per_insert, slack=slack)
    demos, online = TABLES
    return {
        demos: TableConfig(human_priority=human_priority),
        online: TableConfig(limiter=limited, human_priority=human_priority),
    }
