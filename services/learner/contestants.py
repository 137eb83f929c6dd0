"""The value models of RAMP's Table 1 behind one face: what they are taught, in which order, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ramp.algorithms import TokenizerAlgorithm, ValueAlgorithm, WorldModelAlgorithm
from ramp.errors import Invalid
from ramp.models.build import first_world
from ramp.models.value.model import ValueModel
from ramp.types import StepSchema
from services.common.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """So many updates of one objective."""

    name: str
    algorithm: Any  # a ramp.interfaces.Algorithm of the contestant's own kind of model
    updates: int
    begin: Callable[[], object]  # lets the part that is taught take gradients, and no other
    horizons: tuple[int, ...] = ()  # steps ahead whose frames it needs


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model to be trained and then asked for remaining times."""

    model: nn.Module
    lessons: tuple[Lesson, ...]
    outputs: Callable[[Mapping[str, Tensor], torch.Generator], Tensor]  # float32 [B, K] in [0, 1], by each value output

    def remaining(self, tensors: Mapping[str, Tensor], generator: torch.Generator) -> Tensor:
        """float32 [B]: what it says of observations that it has not learnt from, the mean of its outputs."""
        return self.outputs(tensors, generator).mean(dim=1)


def contestant(name: str, settings: Settings, schema: StepSchema) -> Contestant:
    """`vlm` (bins by `value.bins`) or `world` (with or without the state by `world.predicts`), weights as the seed has
    them. The lesson on values takes `stages.world_updates`. Raises Invalid for another name."""
    torch.manual_seed(settings.seed)
    if name == "vlm":
        return _vlm(settings, schema)
    if name == "world":
        return _world(settings, schema)
    raise Invalid("model", name, "choose vlm or world")


def _vlm(settings: Settings, schema: StepSchema) -> Contestant:
    model = ValueModel(settings.value, schema)
    lesson = Lesson(
        name="value",
        algorithm=ValueAlgorithm(),
        updates=settings.stages.world_updates,
        begin=lambda: model.requires_grad_(True),
    )
    return Contestant(model=model, lessons=(lesson,), outputs=lambda tensors, _: model.predict(tensors)[:, None])


def _world(settings: Settings, schema: StepSchema) -> Contestant:
    """The tokenizer first, as in stage 1, unless it stays as published; its updates do not count as the model's."""
    model = first_world(settings.world, schema).train()
    tokenizer = Lesson(
        name="tokenizer",
        algorithm=TokenizerAlgorithm(),
        updates=settings.stages.tokenizer_updates,
        begin=lambda: model.train_only("tokenizer"),
    )
    predictor = Lesson(
        name="predictor",
        algorithm=WorldModelAlgorithm(),
        updates=settings.stages.world_updates,
        begin=lambda: model.train_only("predictor"),
        horizons=settings.world.foreseen,
    )
    return Contestant(
        model=model,
        lessons=(tokenizer, predictor) if tokenizer.updates else (predictor,),
        outputs=lambda tensors, generator: model.predict(tensors, generator=generator).remaining,
    )
