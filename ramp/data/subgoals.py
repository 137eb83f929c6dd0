"""What a demonstration was about at each step, read off its own proprioception: phases, and a sentence for each.

A gripper that closes where the hand has slowed down grasps; until it opens again the hand moves what it holds, and the
opening is the release. A gripper that closes on the way only makes a fist. A hand that grasps nothing reaches until its
last sharp turn and then moves what it touches: it comes from above and presses, or sideways and pushes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np

from ramp.errors import Invalid

LEAST_CHANGE = 0.35
"""Of the gripper's opening over an episode, in its unit; one that changes less only drifts."""
CLOSED, OPEN = 0.4, 0.6
"""Shares of the episode's own range of openings at which the state changes; between them it stays what it was."""
SETTLED = 0.15
"""A change begins and ends where the opening is this near to either end of its range, or at the changes beside it."""
SLOW = 0.5
"""Share of its highest speed so far to which a hand must have slowed down while the gripper closes, to grasp."""
SPEED_STEPS = 2
"""Before and after a step, over which its speed is taken."""
TURN_STEPS = 6
"""Before and after a step, over which directions are compared ..."""
TURN_COSINE = 0.7
"""... and count as a turn of 45 degrees or more ..."""
TURN_SHARE = 0.15
"""... if the hand got this far on both sides, as a share of the furthest it gets in as many steps."""


class Phase(StrEnum):
    REACH = "reach"
    GRASP = "grasp"
    MOVE = "move"
    RELEASE = "release"


@dataclass(frozen=True, kw_only=True, slots=True)
class Subgoal:
    """Steps `start` to `stop` - 1 of an episode."""

    start: int
    stop: int
    phase: Phase
    instruction: str

    @property
    def text(self) -> str:
        """Phase and task, e.g. "reach to open the drawer"."""
        return f"{self.phase} to {self.instruction}"


def subgoals(position: np.ndarray, opening: np.ndarray, instruction: str) -> list[Subgoal]:
    """The segments of one episode in order; together they are all its steps.

    position [T, 3] is the end effector's in metres, opening [T] the gripper's, larger where it is wider open. Raises
    Invalid where they are not finite or not of one length.
    """
    _check(position, opening)
    phases = _phases(position, opening)
    edges = [0, *(np.flatnonzero(phases[1:] != phases[:-1]) + 1).tolist(), len(phases)]
    return [
        Subgoal(start=start, stop=stop, phase=Phase(phases[start]), instruction=instruction)
        for start, stop in pairwise(edges)
    ]


def _check(position: np.ndarray, opening: np.ndarray) -> None:
    if opening.ndim != 1 or len(opening) == 0 or position.shape != (len(opening), 3):
        shapes = f"shapes {position.shape} and {opening.shape}"
        raise Invalid("position, opening", shapes, "give points [T, 3] and openings [T] of at least one step")
    if not (np.isfinite(position).all() and np.isfinite(opening).all()):
        raise Invalid("position, opening", "not finite", "drop steps with nan or infinite readings")


def _phases(position: np.ndarray, opening: np.ndarray) -> np.ndarray:
    """Phase of every step, [T] of strings."""
    phases = np.full(len(opening), Phase.REACH, dtype=object)
    speed, holding, grasped = _speed(position), False, False
    for start, stop, closes in _changes(opening):
        if closes and _slows_down(speed, start, stop):
            phases[start:stop], phases[stop:] = Phase.GRASP, Phase.MOVE
            holding = grasped = True
        elif holding and not closes:
            phases[start:stop], phases[stop:] = Phase.RELEASE, Phase.REACH
            holding = False
    turn = None if grasped else _last_turn(position)
    if turn is not None:
        phases[turn:] = Phase.MOVE
    return phases


def _changes(opening: np.ndarray) -> Iterator[tuple[int, int, bool]]:
    """Start and stop of every change of the gripper's state, and whether it is a closing."""
    low, span = opening.min(), np.ptp(opening)
    if span < LEAST_CHANGE:
        return
    share = (opening - low) / span
    crossings = _crossings(share)
    for previous, step, following in zip([0, *crossings], crossings, [*crossings[1:], len(share)], strict=False):
        closes = bool(share[step] < CLOSED)
        done = 1.0 - share if closes else share  # how far the change has come
        before = np.flatnonzero(done[previous:step] <= SETTLED)
        after = np.flatnonzero(done[step:following] >= 1.0 - SETTLED)
        start = previous + int(before[-1]) if len(before) else previous
        yield start, step + int(after[0]) if len(after) else following, closes


def _crossings(share: np.ndarray) -> list[int]:
    """The steps at which the gripper's state changes, from open to closed and back in turn."""
    closed, found = share[0] < (CLOSED + OPEN) / 2, []
    for step, value in enumerate(share):
        if value > OPEN if closed else value < CLOSED:
            closed = not closed
            found.append(step)
    return found


def _slows_down(speed: np.ndarray, start: int, stop: int) -> bool:
    return bool(speed[start:stop].min() < SLOW * speed[: start + 1].max())


def _speed(position: np.ndarray) -> np.ndarray:
    """Metres per step around each step, [T]."""
    step = np.arange(len(position))
    first, last = np.maximum(step - SPEED_STEPS, 0), np.minimum(step + SPEED_STEPS, len(position) - 1)
    return np.linalg.norm(position[last] - position[first], axis=1) / np.maximum(last - first, 1)


def _last_turn(position: np.ndarray) -> int | None:
    """The sharpest step of the last turn of the hand's way, or None where it never turns."""
    step = np.arange(len(position))
    before = position - position[np.maximum(step - TURN_STEPS, 0)]
    after = position[np.minimum(step + TURN_STEPS, len(position) - 1)] - position
    far, near = np.linalg.norm(after, axis=1), np.linalg.norm(before, axis=1)
    moves = np.minimum(far, near) > TURN_SHARE * far.max()
    cosine = np.where(moves, (before * after).sum(axis=1) / np.maximum(far * near, 1e-12), 1.0)
    turning = np.flatnonzero(cosine < TURN_COSINE)
    if not len(turning):
        return None
    run = turning[np.flatnonzero(np.diff(turning, prepend=-2) > 1)[-1] :]
    return int(run[cosine[run].argmin()])
