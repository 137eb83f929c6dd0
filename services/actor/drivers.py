"""Who chooses the action at each step: the scripted expert with noise, or the policy with a person beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from ramp.errors import Invalid
from ramp.interfaces import Actor, Env, Expert
from ramp.recipes.recipe import DemosConfig
from ramp.types import Observation, Source
from services.actor.camera import Camera, Stopwatch
from services.actor.intervention import Takeover


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One action and who chose it."""

    action: np.ndarray  # float32 [A], within the bounds
    source: Source


class Driver(Protocol):
    """Chooses every action of one episode."""

    version: int  # of the policy that acts or would have acted; 0: none
    values: list[tuple[int, float]]  # (step, predicted remaining time) at each decision
    thoughts: list[tuple[int, str]]  # (step, subgoal) at each decision of a policy that thinks aloud

    @property
    def takeovers(self) -> int:
        """How often a person took over."""

    def choose(self, step: int, proprio: np.ndarray, camera: Camera) -> Choice:
        """The action for the present state. `proprio` float32 [P]; steps count from 0 without gaps."""


class Demonstrator:
    """The expert with Gaussian noise, so that demonstrations also show ways back, and failures (stage 1)."""

    version = 0
    takeovers = 0

    def __init__(self, env: Env, expert: Expert, watch: Stopwatch, *, config: DemosConfig, seed: int) -> None:
        self.values: list[tuple[int, float]] = []
        self.thoughts: list[tuple[int, str]] = []
        self._expert, self._config, self._watch = expert, config, watch
        self._random = np.random.default_rng(seed)
        self._low, self._high = bounds(env)
        self._noise = np.zeros_like(self._low)

    def choose(self, step: int, proprio: np.ndarray, camera: Camera) -> Choice:
        with self._watch("expert"):
            action = np.asarray(self._expert.act(), np.float32)
        if step % self._config.noise_steps == 0:
            self._noise = self._random.normal(0.0, self._config.noise, action.shape).astype(np.float32)
        return Choice(action=np.clip(action + self._noise, self._low, self._high), source=Source.DEMO)


class Pilot:
    """The policy, chunk by chunk; a person may take over at its decisions. Without one: an evaluation.

    Frames are taken only where the policy decides. Deterministic in `seed`, weights and start. `aloud`: at each
    decision it also says what it is about, which takes time and changes nothing.
    """

    def __init__(
        self,
        env: Env,
        agent: Actor,
        watch: Stopwatch,
        *,
        seed: int,
        person: Expert | None = None,
        rule: Takeover | None = None,
        aloud: bool = False,
    ) -> None:
        self.version = agent.version
        self.values: list[tuple[int, float]] = []
        self.thoughts: list[tuple[int, str]] = []
        self._aloud = aloud
        self._env, self._agent, self._watch = env, agent, watch
        self._person = person
        self._rule = rule if person is not None else None
        self._generator = torch.Generator().manual_seed(seed)
        self._chunk: list[np.ndarray] = []  # what is left of the present one
        self._low, self._high = bounds(env)

    @property
    def takeovers(self) -> int:
        return self._rule.count if self._rule else 0

    def choose(self, step: int, proprio: np.ndarray, camera: Camera) -> Choice:
        if self._rule and self._rule.holds(step):
            return self._by_hand()
        if not self._chunk and self._decide(step, proprio, camera):
            return self._by_hand()
        return Choice(action=self._chunk.pop(0), source=Source.POLICY)

    def _decide(self, step: int, proprio: np.ndarray, camera: Camera) -> bool:
        """Ask the policy for the next chunk; whether a person takes over instead."""
        observation = Observation(images=camera.at(step), proprio=proprio, instruction=self._env.instruction)
        with self._watch("inference"):
            decision = self._agent.decide(observation, generator=self._generator)
        self.values.append((step, decision.remaining))
        if self._aloud:
            self.thoughts.append((step, self._say(observation)))
        if self._rule and self._rule.watch(step, decision.remaining, proprio):
            return True
        self._chunk = list(np.clip(np.asarray(decision.chunk, np.float32), self._low, self._high))
        return False

    def _say(self, observation: Observation) -> str:
        """Of a policy that has not learnt to write yet: how it failed to."""
        with self._watch("thought"):
            try:
                return self._agent.think(observation).subgoal
            except Invalid as error:
                return f"({error})"

    def _by_hand(self) -> Choice:
        assert self._person is not None
        self._chunk = []
        with self._watch("expert"):
            action = np.asarray(self._person.act(), np.float32)
        return Choice(action=np.clip(action, self._low, self._high), source=Source.HUMAN)


def bounds(env: Env) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest action, float32 [A] each."""
    return np.asarray(env.schema.action_low, np.float32), np.asarray(env.schema.action_high, np.float32)
