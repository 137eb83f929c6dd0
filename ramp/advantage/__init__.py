"""One definition of an advantage for AWR, RECAP and RAMP: arrays in, arrays out."""

from ramp.advantage.config import AdvantageConfig, BoundaryConfig
from ramp.advantage.indicator import indicator, positive_threshold, thresholds
from ramp.advantage.interventions import boundary_mask, chunk_valid
from ramp.advantage.nstep import n_step_advantage
from ramp.advantage.returns import remaining_time

__all__ = [
    "AdvantageConfig",
    "BoundaryConfig",
    "boundary_mask",
    "chunk_valid",
    "indicator",
    "n_step_advantage",
    "positive_threshold",
    "remaining_time",
    "thresholds",
]
