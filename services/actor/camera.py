"""Frames of one episode, rendered at most once a step and only where somebody needs them; and its stopwatch."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from ramp.interfaces import Env


class Stopwatch:
    """Seconds by what they were spent on: sim, render, inference, expert, replay."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.began = time.monotonic()

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[what] += time.monotonic() - began

    @property
    def total(self) -> float:
        return time.monotonic() - self.began


class Camera:
    """The cameras of one environment. A frame is good for the step it was taken at."""

    def __init__(self, env: Env, watch: Stopwatch) -> None:
        self._env, self._watch = env, watch
        self._step = -1
        self._frames: Mapping[str, np.ndarray] = {}
        self.rendered = 0  # steps that were rendered

    def at(self, step: int) -> Mapping[str, np.ndarray]:
        """Camera name -> uint8 [height, width, 3 or 4] of the present state, which is that before step `step`."""
        if step != self._step:
            with self._watch("render"):
                self._frames = dict(self._env.render())
            self._step = step
            self.rendered += 1
        return self._frames
