"""The steps of one episode, kept until it ends and then handed over in batches.

Whether a step may be a training target is known only when the episode is over: the rule for the boundaries of
interventions compares actions with what is usual inside the episode's segments. So the steps wait here.
It costs a few MB, and an actor that dies in mid-episode leaves nothing behind in the replay service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from ramp.envs import Labels
from ramp.types import Source, StepBatch

STEP_REWARD = -1.0  # RAMP Eq. 5 without its terminal term, which follows from the outcome


class Recording:
    """Columns of one episode as it is collected."""

    def __init__(self, control_hz: float) -> None:
        self._hz = control_hz
        self._proprio: list[np.ndarray] = []
        self._action: list[np.ndarray] = []
        self._source: list[int] = []
        self._frame_steps: list[int] = []
        self._frames: list[Mapping[str, np.ndarray]] = []

    def __len__(self) -> int:
        return len(self._action)

    @property
    def human_steps(self) -> int:
        return self._source.count(int(Source.HUMAN))

    @property
    def proprio(self) -> np.ndarray:
        """float32 [T, P]"""
        return np.asarray(self._proprio, np.float32)

    @property
    def action(self) -> np.ndarray:
        """float32 [T, A]"""
        return np.asarray(self._action, np.float32)

    @property
    def source(self) -> np.ndarray:
        """uint8 [T]"""
        return np.asarray(self._source, np.uint8)

    def add(
        self, proprio: np.ndarray, action: np.ndarray, source: Source, frames: Mapping[str, np.ndarray] | None
    ) -> None:
        """The next step: what was seen before the action, and the action that was executed."""
        if frames is not None:
            self._frame_steps.append(len(self))
            self._frames.append(frames)
        self._proprio.append(np.array(proprio, np.float32))
        self._action.append(np.array(action, np.float32))
        self._source.append(int(source))

    def batches(
        self, trainable: np.ndarray, policy_version: int, size: int, labels: Labels | None = None
    ) -> Iterator[StepBatch]:
        """All steps, at most `size` in a batch. `trainable` bool [T]; `labels` of all T steps, or none."""
        for first in range(0, len(self), size):
            step = np.arange(first, min(first + size, len(self)), dtype=np.int32)
            yield self._batch(step, trainable[step], policy_version, labels)

    def _batch(self, step: np.ndarray, trainable: np.ndarray, policy_version: int, labels: Labels | None) -> StepBatch:
        rows = slice(int(step[0]), int(step[-1]) + 1)
        chosen = [i for i, at in enumerate(self._frame_steps) if step[0] <= at <= step[-1]]
        cameras = self._frames[0] if self._frames else {}
        return StepBatch(
            step=step,
            timestamp=step / self._hz,
            proprio=np.asarray(self._proprio[rows], np.float32),
            action=np.asarray(self._action[rows], np.float32),
            reward=np.full(len(step), STEP_REWARD, np.float32),
            source=np.asarray(self._source[rows], np.uint8),
            trainable=np.ascontiguousarray(trainable, bool),
            policy_version=np.full(len(step), policy_version, np.int32),
            frame_row=np.asarray([self._frame_steps[i] - step[0] for i in chosen], np.int32),
            images={name: self._stack(chosen, name, cameras[name].shape) for name in cameras},
            subgoal=None if labels is None else labels.subgoal[rows],
            hand=None if labels is None else labels.hand[rows],
        )

    def _stack(self, chosen: list[int], name: str, shape: tuple[int, ...]) -> np.ndarray:
        if not chosen:
            return np.zeros((0, *shape), np.uint8)
        return np.stack([self._frames[i][name] for i in chosen])
