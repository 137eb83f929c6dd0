"""Policy and world model together, deciding on a robot in robot units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ramp.data.normalize import Normalizer
from ramp.data.thoughts import ThoughtVocabulary
from ramp.data.transforms import Prompts, observation_tensors
from ramp.errors import Invalid
from ramp.models.build import instructions
from ramp.models.depth import sees_depth, with_hidden_depth, without_depth
from ramp.models.manifest import load_normalizer, load_policy, load_thoughts, load_told, load_world
from ramp.models.vla.chunk_policy import ChunkPolicy
from ramp.models.vla.config import Told
from ramp.models.world.joint import JointModel, Prediction
from ramp.types import POSITIVE, UNLABELLED, Observation, StepSchema


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentDecision:
    """What to do, and how far from the goal the world model thinks it is."""

    chunk: np.ndarray  # float32 [H, A], robot units, within the action bounds
    remaining: float  # predicted remaining time in [0, 1]; nan in efficient mode, which does not predict it


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentThought:
    """What the policy says it is about to do."""

    subgoal: str
    chunk: np.ndarray | None  # float32 [H, A], robot units, as written in tokens; None where these make up none
    track: np.ndarray  # float32 [10, 2], where it sees its hand go, in its camera's picture (ramp/data/track.py)


class Agent:
    """RAMP at inference: I = 1; the world model predicts in one step, the policy acts on what it says.

    `told` is what the policy was trained with: a RECAP policy sees no world-model tokens, a cloned one no indicator
    either; the world model then serves the predicted remaining time alone. `efficient` hides the tokens from any policy
    and skips the world model, for the highest rate; there is no predicted remaining time then. `prompts` is what the
    policy reads its instructions by, where it began with published weights. Frames without depth are served with depth
    hidden, where the policy has learnt to do without. Not thread-safe. One decision at a time is
    fastest with one torch thread.
    """

    def __init__(
        self,
        policy: ChunkPolicy,
        world: JointModel | None,
        normalizer: Normalizer,
        *,
        version: int = 0,
        efficient: bool = False,
        told: Told | None = None,
        thoughts: ThoughtVocabulary | None = None,
        prompts: Prompts | None = None,
    ) -> None:
        if world is not None and policy.token_shape != world.token_shape:
            raise Invalid("world", f"tokens {world.token_shape}", f"the policy was trained on {policy.token_shape}")
        self.policy, self.world, self.normalizer = policy.eval(), world.eval() if world else None, normalizer
        self.version, self.efficient, self.told = version, efficient, told or Told()
        self.indicator = POSITIVE  # what a policy that knows it is told
        self.thoughts, self.prompts = thoughts, prompts
        self.schema = policy.schema
        normalizer.check(self.schema)
        self._low = np.asarray(self.schema.action_low, np.float32)
        self._high = np.asarray(self.schema.action_high, np.float32)

    @classmethod
    def from_registry_parts(
        cls,
        policy_tensors: Mapping[str, Tensor],
        policy_manifest: Mapping[str, Any],
        world_tensors: Mapping[str, Tensor] | None,
        world_manifest: Mapping[str, Any],
        *,
        tokenizer: bytes | None = None,
        version: int = 0,
        efficient: bool = False,
    ) -> Agent:
        """Rebuild from what a registry holds, `tokenizer` beside the policy where there is one. Without the world
        model's tensors the agent can decide in efficient mode only.

        Raises Invalid where weights, configs or schemas do not fit together, or the tokenizer is missing.
        """
        policy = load_policy(policy_tensors, policy_manifest)
        world = None if world_tensors is None else load_world(world_tensors, world_manifest)
        told, normalizer = load_told(policy_manifest), load_normalizer(policy_manifest)
        if load_normalizer(world_manifest).to_dict() != normalizer.to_dict():
            raise Invalid("normalizer", "of policy and world model differ", "serve the two that were trained together")
        thoughts, prompts = load_thoughts(policy_manifest), instructions(policy.config, tokenizer)
        return cls(
            policy,
            world,
            normalizer,
            version=version,
            efficient=efficient,
            told=told,
            thoughts=thoughts,
            prompts=prompts,
        )

    def serves(self, schema: StepSchema) -> bool:
        """Whether a robot of this schema can be driven: its own, or the same without depth where training hid that."""
        blind = without_depth(self.schema) if self.policy.config.depth_dropout > 0.0 else self.schema
        return schema in (self.schema, blind)

    def decide(self, observation: Observation, *, generator: torch.Generator) -> AgentDecision:
        """An action chunk, with I = `indicator`. Raises Invalid for an observation that does not match the schema."""
        return self.decide_many([observation], generator=generator)[0]

    @torch.inference_mode()
    def decide_many(self, observations: list[Observation], *, generator: torch.Generator) -> list[AgentDecision]:
        """The same for several robots at once."""
        observations = [self.checked(observation) for observation in observations]
        tensors = observation_tensors(observations, self.normalizer, self.prompts)
        prediction = None if self.efficient else self._foresee(tensors, generator)
        tokens = prediction.tokens if prediction is not None and self.told.world else None
        remaining = [math.nan] * len(observations) if prediction is None else prediction.value.tolist()
        indicator = torch.full((len(observations),), self.indicator if self.told.indicator else UNLABELLED)
        chunk = self.policy.act(tensors, tokens, indicator, generator=generator).numpy()
        chunk = np.clip(self.normalizer.denormalise_action(chunk), self._low, self._high)
        return [AgentDecision(chunk=c, remaining=v) for c, v in zip(chunk, remaining, strict=True)]

    @torch.inference_mode()
    def think(self, observation: Observation) -> AgentThought:
        """What the policy would say of this observation; `decide` neither reads it nor waits for it.

        Raises Invalid for a policy that was not trained to think, and where it writes what is no text.
        """
        if self.thoughts is None:
            raise Invalid("policy.thought", False, "this policy was not trained to think; train one with true")
        checked = self.checked(observation)
        written, track = self.policy.think(observation_tensors([checked], self.normalizer, self.prompts))
        ids = written[0].tolist()
        return AgentThought(
            subgoal=self.thoughts.read_text(ids), chunk=self._chunk(self.thoughts, ids), track=track[0].numpy()
        )

    def _chunk(self, thoughts: ThoughtVocabulary, ids: list[int]) -> np.ndarray | None:
        try:
            chunk = thoughts.read(ids)[1]
        except Invalid:  # a young policy's tokens need not make up a chunk; its words may be right all the same
            return None
        return None if chunk is None else self.normalizer.denormalise_action(chunk)

    def _foresee(self, tensors: Mapping[str, Tensor], generator: torch.Generator) -> Prediction:
        if self.world is None:
            raise Invalid("efficient", False, "this agent was made without a world model; let it be efficient")
        return self.world.predict(tensors, generator=generator)

    def checked(self, observation: Observation) -> Observation:
        """As the policy takes it: with depth hidden where the robot has none. Raises Invalid where it does not fit."""
        if sees_depth(self.schema) and self.policy.config.depth_dropout > 0.0:
            observation = replace(observation, images=with_hidden_depth(observation.images))
        check_observation(observation, self.schema)
        return observation


def check_observation(observation: Observation, schema: StepSchema) -> None:
    """Raises Invalid, naming the field, where cameras, shapes, types or numbers are not what the schema says."""
    if set(observation.images) != set(schema.cameras):
        raise Invalid("images", sorted(observation.images), f"send exactly the cameras {sorted(schema.cameras)}")
    for camera, frame in observation.images.items():
        if frame.shape != tuple(schema.cameras[camera]) or frame.dtype != np.uint8:
            wanted = f"uint8 {tuple(schema.cameras[camera])}"
            raise Invalid(f"images.{camera}", f"{frame.dtype} {frame.shape}", f"send {wanted}")
    if observation.proprio.shape != (schema.proprio_width,):
        raise Invalid("proprio", f"shape {observation.proprio.shape}", f"send {schema.proprio_width} numbers")
    if not np.isfinite(observation.proprio).all():
        raise Invalid("proprio", "not finite", "send finite readings")
