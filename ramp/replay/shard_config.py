"""What a shard serves and keeps, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ramp.advantage.config import AdvantageConfig
from ramp.replay.info import Limits
from ramp.replay.log import SEGMENT_BYTES
from ramp.replay.retention import RetentionConfig
from ramp.replay.table import TableConfig


@dataclass(frozen=True, kw_only=True)
class ShardConfig:
    """Tables by name, the tasks that are known (none: any), bounds, and how values become labels."""

    tables: Mapping[str, TableConfig] = field(default_factory=lambda: {"demos": TableConfig(), "online": TableConfig()})
    tasks: tuple[str, ...] = ()
    advantage: AdvantageConfig = field(default_factory=AdvantageConfig)
    retention: RetentionConfig = field(default_factory=RetentionConfig)
    limits: Limits = field(default_factory=Limits)
    segment_bytes: int = SEGMENT_BYTES
