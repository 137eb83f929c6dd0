"""The tables of a run."""

from __future__ import annotations

from ramp.replay.limiter import Limiter
from ramp.replay.table import TableConfig

TABLES = ("demos", "online", "corrections", "imagined")
"""Of a run."""


def shard_tables(
    *, min_items: int, samples_per_insert: float, slack: float, human_priority: float
) -> dict[str, TableConfig]:
    """Demonstrations; online experience, which alone is limited; what people did in it; what a world model imagined."""
    limited = Limiter.Config(min_size=min_items, samples_per_insert=samples_per_insert, slack=slack)
    demos, online, corrections, imagined = TABLES
    return {
        demos: TableConfig(human_priority=human_priority),
        online: TableConfig(limiter=limited, human_priority=human_priority),
        corrections: TableConfig(human_only=True),
        imagined: TableConfig(),
    }
