"""Where a person takes over or hands back: which steps are transitional, and how far an action chunk may reach.

RAMP says only that transitional artefacts are detected and removed (stage 3); the rules here are ours. Steps that
they find are never targets of policy training; they stay in the episode, and the world model learns from them.
T: steps of the episode, A: action width.
"""

from __future__ import annotations

import itertools

import numpy as np

from ramp.advantage.config import BoundaryConfig
from ramp.types import Source

MAD_TO_SIGMA = 1.4826  # a normal distribution's standard deviation over its median absolute deviation
DEFAULT = BoundaryConfig()


def boundary_mask(action: np.ndarray, source: np.ndarray, config: BoundaryConfig = DEFAULT) -> np.ndarray:
    """bool [T]: True where a step may be a training target, that is where neither rule below objects."""
    return ~(jump_artefacts(action, source, config) | idle_artefacts(action, source, config))


def boundaries(source: np.ndarray) -> np.ndarray:
    """int [B]: first steps of all segments but the first; a segment is a run of steps in which one source acts."""
    return np.flatnonzero(np.diff(np.asarray(source, np.int16))) + 1


def action_jumps(action: np.ndarray) -> np.ndarray:
    """float64 [T]: distance of every action from the one before it; 0 for the first."""
    jumps = np.linalg.norm(np.diff(np.asarray(action, np.float64), axis=0), axis=1)
    return np.concatenate([np.zeros(min(len(action), 1)), jumps])


def robust_z(jumps: np.ndarray, usual: np.ndarray, min_scale: float) -> np.ndarray:
    """float64 [T]: distance from the median of `usual`, in its median absolute deviations (as standard deviations).
    All 0 where there is nothing usual to compare with."""
    if not len(usual):
        return np.zeros(len(jumps))
    middle = np.median(usual)
    return (jumps - middle) / max(MAD_TO_SIGMA * float(np.median(np.abs(usual - middle))), min_scale)


def jump_artefacts(action: np.ndarray, source: np.ndarray, config: BoundaryConfig = DEFAULT) -> np.ndarray:
    """bool [T]: both steps of every change of action near a boundary that is unusual for the inside of the episode's
    segments."""
    starts, jumps = boundaries(source), action_jumps(action)
    near = _near(starts, len(source), config.window)
    inside = ~near
    inside[:1] = False  # the first step changes nothing
    unusual = near & (robust_z(jumps, jumps[inside], config.min_scale) > config.jump_z)
    return unusual | np.append(unusual[1:], np.zeros(min(len(unusual), 1), bool))


def idle_artefacts(action: np.ndarray, source: np.ndarray, config: BoundaryConfig = DEFAULT) -> np.ndarray:
    """bool [T]: idle steps at the edges of a person's segments, while they take hold or let go."""
    moving = np.asarray(action, np.float64)[:, : config.motion_width or None]
    length = np.linalg.norm(moving, axis=1)
    found = np.zeros(len(length), bool)
    if not len(length) or not len(boundaries(source)):
        return found
    idle = length < config.idle_share * np.median(length)
    edges = [0, *boundaries(source).tolist(), len(source)]
    for first, last in itertools.pairwise(edges):
        if source[first] == Source.HUMAN:
            found[first:last] |= _leading(idle[first:last], config.idle_steps)
            found[first:last] |= _leading(idle[first:last][::-1], config.idle_steps)[::-1]
    return found


def segment_ends(source: np.ndarray) -> np.ndarray:
    """int64 [T]: for each step, the first later step at which someone else acts, or T: a chunk ends there."""
    changes = boundaries(source)
    ends = np.append(changes, len(source))
    return ends[np.searchsorted(changes, np.arange(len(source)), side="right")]


def _near(starts: np.ndarray, length: int, window: int) -> np.ndarray:
    """bool [T]: steps whose change of action lies within `window` steps of a boundary."""
    near = np.zeros(length, bool)
    for start in starts.tolist():
        near[max(start - window, 0) : start + window] = True
    return near


def _leading(flags: np.ndarray, most: int) -> np.ndarray:
    """bool, as `flags`: its unbroken run of True at the front, at most `most` long."""
    run = np.logical_and.accumulate(flags)
    run[most:] = False
    return run
