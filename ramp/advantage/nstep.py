"""The n-step TD advantage (RAMP Eq. 8), in units of the task's time limit, at the steps that carry frames."""

from __future__ import annotations

import numpy as np

from ramp.errors import Invalid


def n_step_advantage(
    remaining: np.ndarray,
    frame_step: np.ndarray,
    reward: np.ndarray,
    *,
    max_steps: int,
    success: bool,
    n: int,
    gamma: float = 1.0,
    failure_penalty: float = 1.0,
) -> np.ndarray:
    """float32 [F]: A_t = sum_{k<m} gamma^k r_{t+k} / T_max + gamma^m v_{t+m} - v_t with v = -remaining.

    remaining        float [F], predicted remaining time over T_max at the frames
    frame_step       int [F], strictly increasing, within 0..T-1
    reward           float [T], in units of steps: -1 each (RAMP Eq. 5 without its terminal term)
    failure_penalty  C_fail over T_max

    m is n where step t+n carries a frame, otherwise the distance to the last frame before it, but at least to the
    next one. Where t+n lies beyond the end, m is what is left, and the bootstrap is the truth: 0 after a success,
    -failure_penalty after a failure. nan where a value is nan.
    gamma is no setting: the value's label is not discounted, so that only 1 gives a perfect value no advantage.
    Raises Invalid where shapes or steps disagree.
    """
    frame_step, length = np.asarray(frame_step, np.int64), len(reward)
    _check(remaining, frame_step, length, n)
    if not len(frame_step):
        return np.zeros(0, np.float32)
    value = np.append(-np.asarray(remaining, np.float64), 0.0 if success else -failure_penalty)
    until_frame = _bootstrap_frame(frame_step, length, n)
    distance = np.append(frame_step, length)[until_frame] - frame_step
    total = _discounted_sums(np.asarray(reward, np.float64) / max_steps, frame_step, distance, gamma)
    return (total + gamma**distance * value[until_frame] - value[:-1]).astype(np.float32)


def _bootstrap_frame(frame_step: np.ndarray, length: int, n: int) -> np.ndarray:
    """int [F]: index of the frame to bootstrap from; F stands for the end of the episode."""
    last = np.searchsorted(frame_step, frame_step + n, side="right") - 1
    chosen = np.maximum(last, np.arange(len(frame_step)) + 1)
    return np.where(frame_step + n >= length, len(frame_step), chosen)


def _discounted_sums(reward: np.ndarray, start: np.ndarray, distance: np.ndarray, gamma: float) -> np.ndarray:
    """float64 [F]: sum_{k < distance} gamma^k reward[start + k]."""
    ahead = np.arange(distance.max())
    inside = ahead < distance[:, None]
    index = np.where(inside, start[:, None] + ahead, 0)
    return np.where(inside, reward[index] * gamma**ahead, 0.0).sum(axis=1)


def _check(remaining: np.ndarray, frame_step: np.ndarray, length: int, n: int) -> None:
    if n < 1:
        raise Invalid("n_steps", n, "look at least one step ahead")
    if np.shape(remaining) != frame_step.shape or frame_step.ndim != 1:
        raise Invalid("remaining", f"shape {np.shape(remaining)}", f"give one value per frame: {frame_step.shape}")
    if len(frame_step) and (frame_step[0] < 0 or frame_step[-1] >= length or (np.diff(frame_step) <= 0).any()):
        raise Invalid("frame_step", frame_step.tolist()[:8], f"give ascending steps within 0..{length - 1}")
