"""What an environment can say of its robot's hand, and so of what each step of an episode was about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ramp.data.subgoals import subgoals
from ramp.data.track import Project, seen
from ramp.interfaces import Env


@dataclass(frozen=True, kw_only=True)
class Hand:
    """The hand at T steps, and the camera that looks at it."""

    position: np.ndarray  # float [T, 3], metres
    opening: np.ndarray  # float [T], of the gripper, larger where it is wider open; constant where there is none
    project: Project | None  # None where no camera's pose is known


@runtime_checkable
class HasHand(Protocol):
    """An environment that can read its hand off proprioception."""

    def hand(self, proprio: np.ndarray) -> Hand:
        """Of proprio float32 [T, P]."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Columns of ramp.types.StepBatch for T steps."""

    subgoal: np.ndarray  # object [T] of str
    hand: np.ndarray  # float32 [T, 2], nan where it is not seen


def label(env: Env, proprio: np.ndarray) -> Labels | None:
    """Of a whole episode, proprio float32 [T, P]; None where the environment knows nothing of a hand.

    All steps are labelled by what happened, whoever acted; whom a policy should imitate is decided where it is trained
    (ramp/data/transforms.py). Where no camera's pose is known there is text alone.
    """
    if not isinstance(env, HasHand):
        return None
    hand = env.hand(proprio)
    found = subgoals(hand.position, hand.opening, env.instruction)
    texts = [each.text for each in found for _ in range(each.start, each.stop)]
    unseen = np.full((len(proprio), 2), np.nan, np.float32)
    points = unseen if hand.project is None else seen(hand.position, hand.project)
    return Labels(subgoal=np.array(texts, dtype=object), hand=points)
