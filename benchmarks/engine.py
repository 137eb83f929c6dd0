"""A DeepSpeed step against the same step in plain PyTorch, on the default recipe's policy and world model.

Both sides do the same arithmetic on the same batch: loss, backward, clipping, AdamW, averaged weights, learning-rate
schedule. They take turns within one process, and who begins alternates, so that a busy machine is busy for both.
"""

from __future__ import annotations

import copy
import statistics
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.turns import alternate
from ramp.algorithms import RampAlgorithm, WorldModelAlgorithm
from ramp.data.words import word_ids
from ramp.interfaces import Algorithm
from ramp.models.vla.policy import VLAPolicy
from ramp.models.world.model import WorldModel
from ramp.recipes import RECIPES, Recipe
from ramp.types import StepSchema
from services.learner.engine import Engine, Plan, training_device
from services.learner.schedule import lr_factor

BOUND = 1.10  # a DeepSpeed step may cost this many plain ones
Row = dict[str, Any]


def run(quick: bool) -> list[Row]:
    """One row per model: median milliseconds of both sides, and the median of the pairs' ratios."""
    recipe = RECIPES["metaworld"]()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_compare(*each, pairs=12 if quick else 60) for each in _models(recipe)]
    finally:
        torch.set_num_threads(threads)


class Plain:
    """The same training step, written by hand."""

    def __init__(self, model: nn.Module, plan: Plan) -> None:
        self.model, self.plan, self.updates = model, plan, 0
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.averaged = [p.detach().clone() for p in self.trained]
        self.optimizer = torch.optim.AdamW(self.trained, lr=plan.lr, weight_decay=plan.weight_decay, fused=True)

    def step(self, algorithm: Algorithm, tensors: Mapping[str, Tensor], generator: torch.Generator) -> None:
        plan = self.plan
        factor = lr_factor(self.updates, plan.spans, warmup=plan.warmup, final=plan.final_lr)
        self.optimizer.param_groups[0]["lr"] = plan.lr * factor
        loss, _ = algorithm.loss(self.model, tensors, generator=generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, plan.grad_clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, [p.detach() for p in self.trained], 1.0 - plan.ema)
        self.updates += 1


def _compare(
    name: str, model: nn.Module, algorithm: Algorithm, plan: Plan, tensors: dict[str, Tensor], *, pairs: int
) -> Row:
    engine, plain = Engine(copy.deepcopy(model), plan), Plain(copy.deepcopy(model), plan)

    def deepspeed() -> None:
        loss, _ = engine.loss(algorithm, tensors, generator=_generator())
        engine.step(loss)

    def by_hand() -> None:
        plain.step(algorithm, tensors, _generator())

    ours, theirs = alternate(deepspeed, by_hand, pairs)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return {
        "name": f"engine: DeepSpeed step / plain PyTorch step, {name}",
        "value": round(1e3 * statistics.median(ours), 2),
        "baseline": round(1e3 * statistics.median(theirs), 2),
        "unit": "ms",
        "ratio": round(ratio, 3),
        "target": BOUND,
        "pairs": pairs,
        "batch": len(tensors["images"]),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "device": str(engine.device),
    }


def _models(recipe: Recipe) -> list[tuple[str, nn.Module, Any, Plan, dict[str, Tensor]]]:
    size, training = recipe.env.image_size, recipe.training
    schema = StepSchema(
        cameras=dict.fromkeys(recipe.env.cameras, (size, size, 3)),
        proprio_width=4,
        action_low=(-1.0,) * 4,
        action_high=(1.0,) * 4,
    )
    torch.manual_seed(recipe.seed)
    device = training_device()
    world = WorldModel(recipe.world, schema).to(device)
    world.train_only("predictor")
    policy = VLAPolicy(recipe.policy, schema, world.token_shape).to(device)
    policy_batch = _batch(recipe, training.policy_batch, world.token_shape)
    world_batch = _batch(recipe, training.world_batch, world.token_shape)
    return [
        ("policy", policy, RampAlgorithm(), _plan(recipe, training.policy_lr), _on(device, policy_batch)),
        ("world model", world, WorldModelAlgorithm(), _plan(recipe, training.world_lr), _on(device, world_batch)),
    ]


def _plan(recipe: Recipe, lr: float) -> Plan:
    training = recipe.training
    return Plan(
        lr=lr,
        weight_decay=training.weight_decay,
        grad_clip=training.grad_clip,
        spans=(1000,),
        warmup=training.warmup,
        final_lr=training.final_lr,
        ema=training.ema,
    )


def _batch(recipe: Recipe, rows: int, token_shape: tuple[int, int]) -> dict[str, Tensor]:
    """Noise of the right shapes; what a step costs does not depend on the values."""
    random = torch.Generator().manual_seed(1)
    views, size, horizons = len(recipe.env.cameras), recipe.env.image_size, len(recipe.world.horizons)
    frame = (views, size, size, 3)
    return {
        "images": torch.randint(0, 256, (rows, *frame), generator=random, dtype=torch.uint8),
        "proprio": torch.randn(rows, 4, generator=random),
        "words": torch.from_numpy(word_ids(["open the drawer"] * rows)),
        "action": torch.randn(rows, recipe.policy.chunk, 4, generator=random),
        "chunk_valid": torch.ones(rows, recipe.policy.chunk, dtype=torch.bool),
        "indicator": torch.randint(0, 2, (rows,), generator=random),
        "remaining": torch.rand(rows, generator=random),
        "fold": torch.randint(0, 2, (rows,), generator=random),
        "future_images": torch.randint(0, 256, (rows, horizons, *frame), generator=random, dtype=torch.uint8),
        "future_proprio": torch.randn(rows, horizons, 4, generator=random),
        "future_valid": torch.ones(rows, horizons, dtype=torch.bool),
        "world_tokens": torch.randn(rows, *token_shape, generator=random),
    }


def _on(device: torch.device, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.to(device) for name, tensor in tensors.items()}


def _generator() -> torch.Generator:
    return torch.Generator(device=training_device()).manual_seed(0)
