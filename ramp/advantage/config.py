"""Settings of the one advantage that AWR, RECAP and RAMP share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig:
    """n-step TD advantages (RAMP Eq. 8) in units of the task's limit, and the indicator's threshold (RECAP App. F)."""

    n_steps: int = 48  # look-ahead; the world model's longest horizon
    gamma: float = 1.0
    failure_penalty: float = 1.0  # C_fail over max_steps (PAPERS 8)
    demo_positive: float = 0.3  # share of a task's demonstration items with indicator 1
    rollout_positive: float = 0.4  # likewise of its rollout items
