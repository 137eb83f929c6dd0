"""Policies of the counting world for tests: published with random weights, or making up their answers."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np
import torch

from ramp.data.normalize import Normalizer
from ramp.envs import make_env
from ramp.models.agent import AgentDecision
from ramp.models.manifest import policy_manifest, weights, world_manifest
from ramp.models.vla.config import Told
from ramp.models.vla.policy import VLAPolicy
from ramp.models.world.model import WorldModel
from ramp.recipes import RECIPES
from ramp.types import Kind, Observation, StepSchema
from services.clients.registry import DirectoryRegistry

RECIPE = RECIPES["counting"]()
ENV = make_env("count-up", RECIPE.env)


def statistics(schema: StepSchema, seed: int = 0) -> Normalizer:
    """Of a robot that has moved at random."""
    random = np.random.default_rng(seed)
    return Normalizer.fit(random.random((50, schema.proprio_width)), random.random((50, schema.action_width)))


def publish(
    registry: DirectoryRegistry,
    schema: StepSchema = ENV.schema,
    *,
    alias: str = "latest",
    normalizer: Normalizer | None = None,
) -> int:
    """A policy and a world model with random weights; the policy's number."""
    world = WorldModel(RECIPE.world, schema)
    policy = VLAPolicy(RECIPE.policy, schema, world.token_shape)
    units = normalizer or statistics(schema)
    world_version = registry.publish(Kind.WORLD, weights(world), world_manifest(world, units))
    manifest = policy_manifest(policy, units, Told()) | {"world_version": world_version}
    version = registry.publish(Kind.POLICY, weights(policy), manifest)
    if alias:
        registry.alias(Kind.POLICY, alias, version)
    return version


def observation(seed: int = 0) -> Observation:
    """What the counting robot sees at the start of an episode."""
    now = ENV.reset(seed)
    return Observation(images=ENV.render(), proprio=now.proprio, instruction=ENV.instruction)


@dataclass(eq=False)
class Decider:
    """Answers with its version in every number, when it may; remembers how many it answered at once."""

    version: int = 1
    may: threading.Event = field(default_factory=threading.Event)
    began: threading.Event = field(default_factory=threading.Event)
    batches: list[int] = field(default_factory=list)
    fails: bool = False

    def decide_many(self, observations: list[Observation], *, generator: torch.Generator) -> list[AgentDecision]:
        self.batches.append(len(observations))
        self.began.set()
        assert self.may.wait(10)
        if self.fails:
            raise RuntimeError("the model is broken")
        return [AgentDecision(chunk=np.full((4, 2), self.version, np.float32), remaining=0.5) for _ in observations]
