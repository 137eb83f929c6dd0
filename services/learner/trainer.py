"""The models in training, by name, and one update of one of them.

tokenizer   world model, stage 1's first part
predictor   world model with the tokenizer frozen: stage 1's second part, and stage 4
policy      stages 2 and 4
"""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from ramp.algorithms import TokenizerAlgorithm, WorldModelAlgorithm, policy_algorithm
from ramp.models.build import first_policy, first_world, new_policy, new_world
from ramp.recipes.recipe import PRETRAINED
from services.common import metrics
from services.common.settings import Settings
from services.learner.checkpoint import States
from services.learner.divergence import DivergedError
from services.learner.engine import Engine, Plan, rank, training_device, untimed
from services.learner.latents import FrameLatents
from services.learner.precision import in_bfloat16
from services.learner.progress import Basis
from services.learner.published import PublishedWorld
from services.learner.sampled import Sampled
from services.learner.schedule import rounds

LOG = logging.getLogger(__name__)

TOKENIZER, PREDICTOR, POLICY = "tokenizer", "predictor", "policy"
BAD_IN_A_ROW = 3  # updates that were not finite; then the weights themselves are suspected


class Trainer:
    """Engines over one world model and one policy. Every worker holds the same; each trains on its share of rows."""

    def __init__(
        self,
        settings: Settings,
        basis: Basis,
        states: States,
        *,
        filled: bool = False,
        spent: Callable[[str], AbstractContextManager[None]] = untimed,
    ) -> None:
        """Folders of published weights are read for models of which `states` holds nothing, unless the caller fills
        them. `spent("sync")` surrounds every exchange of gradients. Raises NotFound and Invalid where a folder has no
        such weights."""
        self._settings, self._spent = settings, spent
        self.device = training_device()
        self.bfloat16 = in_bfloat16(settings.training.precision, self.device)
        torch.manual_seed(settings.seed)
        make_world = new_world if filled or {TOKENIZER, PREDICTOR} & set(states) else first_world
        make_policy = new_policy if filled or POLICY in states else first_policy
        self.world = make_world(settings.world, basis.schema).to(self.device).train()
        self.policy = make_policy(settings.policy, basis.schema, self.world.token_shape).to(self.device).train()
        objective = policy_algorithm(settings.training.algorithm, settings.advantage)
        self.told = objective.told
        self._algorithms: dict[str, Any] = {
            TOKENIZER: TokenizerAlgorithm(),
            PREDICTOR: WorldModelAlgorithm(),
            POLICY: objective,
        }
        self.latents = FrameLatents()  # of the frozen tokenizer, for all its updates and all published versions
        self._engines: dict[str, Engine] = {}
        self._states = states
        self._bad: Counter[str] = Counter()  # updates in a row that were not finite, by model

    def engine(self, name: str) -> Engine:
        """The engine of that name; made on first use, going on from the checkpoint it was loaded with. Collective."""
        if name not in self._engines:
            if name in (TOKENIZER, PREDICTOR):
                self.world.train_only(name)
            engine = Engine(self.policy if name == POLICY else self.world, self._plan(name), self._spent)
            if name in self._states:
                engine.load(self._states.pop(name))
            self._engines[name] = engine
            metrics.LEARNER_SKIPPED.labels(name)  # 0 is told, too
        return self._engines[name]

    def drop(self, name: str) -> None:
        """Training of this part is over."""
        if name in self._engines:
            self._engines.pop(name).close()

    def restart(self, name: str, weights: Mapping[str, torch.Tensor]) -> None:
        """This model goes on from these weights, its optimiser anew. Collective. Raises Invalid."""
        self.engine(name).restart(weights)

    def check(self) -> None:
        """Raises DivergedError, on every worker, where a weight of a model in training is no longer a number."""
        for name, engine in self._engines.items():
            if not engine.finite():
                raise DivergedError(f"weights of the {name} are not finite after {engine.updates} updates")

    def states(self) -> States:
        """Of all engines, for a checkpoint; of those not made yet, what was loaded for them. Collective."""
        return {**self._states, **{name: engine.state() for name, engine in self._engines.items()}}

    def update(
        self, name: str, sampled: Sampled, world: PublishedWorld | None = None
    ) -> tuple[bool, Mapping[str, float]]:
        """One update; whether it was applied, and the algorithm's report. The policy is given `world`'s tokens.

        Raises DivergedError after BAD_IN_A_ROW updates of this model that were not finite. Collective.
        """
        with metrics.timed(metrics.LEARNER_UPDATE_SECONDS.labels(name)):
            return self._update(name, sampled, world)

    def _update(self, name: str, sampled: Sampled, world: PublishedWorld | None) -> tuple[bool, Mapping[str, float]]:
        engine = self.engine(name)
        tensors = {key: tensor.to(self.device) for key, tensor in sampled.tensors.items()}
        if world is not None and self.told.world:
            tensors["world_tokens"] = world.tokens(sampled.keys, tensors, self._generator("tokens", engine.updates))
        if name == PREDICTOR:
            tensors |= self._seen(sampled, tensors)
        elif name == TOKENIZER:
            self.latents.forget()
        generator = self._generator(name, engine.updates)
        loss, report = engine.loss(self._algorithms[name], tensors, generator=generator)
        if engine.step(loss):
            self._bad[name] = 0
            metrics.LEARNER_GRADIENT.labels(name).set(engine.gradient_norm)
            return True, {**report, "frames_kept": self.latents.kept_share} if name == PREDICTOR else report
        self._skip(name, engine.updates)
        return False, {}

    def _seen(self, sampled: Sampled, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the frozen tokenizer makes of a batch's frames, present and future."""
        found = {"latents": self.latents.of(sampled.keys, tensors["images"], self.world.tokenize)}
        if sampled.ahead:
            future = tensors["future_images"]
            ahead = self.latents.of(sampled.ahead, future.flatten(0, 1), self.world.tokenize)
            found["future_latents"] = ahead.unflatten(0, future.shape[:2])
        return found

    def _skip(self, name: str, update: int) -> None:
        self._bad[name] += 1
        metrics.LEARNER_SKIPPED.labels(name).inc()
        LOG.warning("update %d of the %s was not finite and is left out (%d in a row)", update, name, self._bad[name])
        if self._bad[name] >= BAD_IN_A_ROW:
            raise DivergedError(f"{self._bad[name]} updates of the {name} in a row were not finite")

    def _generator(self, name: str, update: int) -> torch.Generator:
        """Noise by position, not by history: the same after any resume, different for every worker and attempt."""
        place = f"{self._settings.seed}/{name}/{update}/{self._bad[name]}/{rank()}"
        return torch.Generator(device=self.device).manual_seed(zlib.crc32(place.encode()))

    def _plan(self, name: str) -> Plan:
        training, stages = self._settings.training, self._settings.stages
        joint = stages.joint_updates
        length = training.relabel_every if training.restart == PRETRAINED else max(1, joint)
        spans = {
            TOKENIZER: (stages.tokenizer_updates,),
            PREDICTOR: (stages.world_updates, *rounds(joint, length, training.world_every)),
            POLICY: (stages.policy_updates, *rounds(joint, length)),
        }
        return Plan(
            lr=training.policy_lr if name == POLICY else training.world_lr,
            weight_decay=training.weight_decay,
            grad_clip=training.grad_clip,
            spans=spans[name],
            warmup=training.warmup if name == POLICY else training.world_warmup or training.warmup,
            final_lr=training.final_lr,
            ema=training.ema if name == POLICY else 0.0,
            beta2=training.beta2,
            zero_stage=self._settings.learner.zero_stage,
            bfloat16=self.bfloat16,
        )
