"""One definition of an advantage for AWR, RECAP and RAMP: arrays in, arrays out."""

from ramp.advantage.config import AdvantageConfig, BoundaryConfig
from ramp.advantage.indicator import indicator, positive_threshold, thresholds
from ramp.advantage.interventions import boundary_mask, segment_ends
from ramp.advantage.nstep import n_step_advantage

__all__ = [
    "AdvantageConfig",
    "BoundaryConfig",
    "boundary_mask",
    "indicator",
    "n_step_advantage",
    "positive_threshold",
    "segment_ends",
    "thresholds",
]
