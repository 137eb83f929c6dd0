"""Settings of the one advantage that AWR, RECAP and RAMP share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig:
    """n-step TD advantages (RAMP Eq. 8) in units of the task's limit, and the indicator's threshold (RECAP App. F)."""

    n_steps: int = 48  # look-ahead; the world model's longest horizon
    failure_penalty: float = 1.0  # C_fail over max_steps; RAMP does not give it
    demo_positive: float = 0.3  # share of a task's demonstration items with indicator 1
    rollout_positive: float = 0.4  # likewise of its rollout items
    temperature: float = 1.0  # beta of AWR's weights min(exp(A / beta), weight_clip), A normalised (the authors' code)
    weight_clip: float = 20.0  # w_max of AWR's weights


@dataclass(frozen=True, kw_only=True)
class BoundaryConfig:
    """What counts as an artefact around a takeover or a hand-back. Distances are of actions, in action units."""

    window: int = 4  # steps on either side of a boundary in which a jump is looked for
    jump_z: float = 4.0  # robust z-score above which a change of action is no longer usual
    min_scale: float = 0.05  # the z-score's scale is never below this: a quiet segment makes no jump of a tremor
    idle_share: float = 0.1  # of the usual action's length: below it the arm idles
    idle_steps: int = 12  # at either edge of a person's segment, at most so many idle steps are artefacts
    motion_width: int = 0  # the first so many action components move the arm, the rest grip; 0: all of them
