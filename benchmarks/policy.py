"""One decision with the default recipe's sizes on one core, in both modes, with and without guidance.

The yardstick is the same modules called in a straight line, on tensors that lie ready: no observation is checked,
normalised, stacked or hashed, nothing is drawn from a named generator, nothing comes back in robot units. The two take
turns within one process. Weights are random, which changes nothing of the time.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.turns import alternate
from ramp.data.normalize import Normalizer
from ramp.data.transforms import observation_tensors
from ramp.evaluation.latency import median_seconds
from ramp.models.agent import Agent
from ramp.models.flow import integrate
from ramp.models.frames import to_float
from ramp.models.vla.policy import VLAPolicy
from ramp.models.world.model import WorldModel
from ramp.models.world.tokenizer import group
from ramp.recipes import RECIPES, Recipe
from ramp.types import Observation, StepSchema

AIM_MS = {"efficient": 15.0, "standard": 40.0}  # a chunk, on one core
BOUND = 1.25  # a decision may cost this many straight lines
Row = dict[str, Any]


def run(quick: bool) -> list[Row]:
    """A row per mode and guidance, and where the time of an unguided decision goes in each mode."""
    recipe, pairs = RECIPES["metaworld"](), 20 if quick else 400
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [_compare(recipe, mode, beta, pairs) for beta in (1.0, 2.0) for mode in AIM_MS]
        return rows + [_parts(recipe, mode) for mode in AIM_MS]
    finally:
        torch.set_num_threads(threads)


def _compare(recipe: Recipe, mode: str, beta: float, pairs: int) -> Row:
    print(f"policy: {pairs} decisions, {mode}, guidance {beta:g} ...", flush=True)
    agent, seen = sample_agent(recipe, beta, efficient=mode == "efficient"), sample_observation(recipe)
    generator = torch.Generator().manual_seed(0)
    ours, theirs = alternate(lambda: agent.decide(seen, generator=generator), _straight(agent, seen), pairs)
    return {
        "name": f"policy: decision / the same modules in a straight line, {mode}, guidance {beta:g}",
        "value": round(1e3 * statistics.median(ours), 2),
        "baseline": round(1e3 * statistics.median(theirs), 2),
        "unit": "ms",
        "ratio": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3),
        "target": BOUND,
        "p95_ms": round(1e3 * float(np.quantile(ours, 0.95)), 2),
        "aim_ms": AIM_MS[mode],
        "decisions": pairs,
        "chunk": recipe.policy.chunk,
        "euler_steps": recipe.policy.ode_steps,
    }


def _parts(recipe: Recipe, mode: str) -> Row:
    """Milliseconds of each part by itself; the rest is what lies around them."""
    print(f"policy: parts of a decision, {mode} ...", flush=True)
    agent, seen = sample_agent(recipe, 1.0, efficient=mode == "efficient"), sample_observation(recipe)
    policy, tensors = agent.policy, observation_tensors([seen], agent.normalizer)
    generator, indicator = torch.Generator().manual_seed(0), torch.ones(1, dtype=torch.int64)
    with torch.inference_mode():
        world = None if agent.efficient else agent.world
        tokens = None if world is None else world.predict(tensors, generator=generator).tokens
        context = policy.observe(tensors, tokens, indicator)
        start = torch.randn(1, policy.config.chunk, policy.schema.action_width)
        parts: dict[str, Callable[[], object]] = {
            "picture_encoder": lambda: policy.observe(tensors, tokens, indicator),
            "euler": lambda: integrate(lambda x, tau: policy(x, tau, context), start, policy.config.ode_steps),
        }
        if world is not None:
            predict = world.predict
            parts["world_model"] = lambda: predict(tensors, generator=generator)
        spent = {f"{name}_ms": 1e3 * median_seconds(part) for name, part in parts.items()}
    whole = 1e3 * median_seconds(lambda: agent.decide(seen, generator=generator))
    spent["around_them_ms"] = whole - sum(spent.values())
    return {"name": f"policy: parts of a decision, {mode}", **{name: round(ms, 2) for name, ms in spent.items()}}


def _straight(agent: Agent, seen: Observation) -> Callable[[], Tensor]:
    """The arithmetic of a decision and nothing else."""
    policy, world, config = agent.policy, agent.world, agent.policy.config
    assert isinstance(policy, VLAPolicy)
    assert isinstance(world, WorldModel)
    tensors = observation_tensors([seen], agent.normalizer)
    proprio, words, pictures = tensors["proprio"], tensors["words"], to_float(tensors["images"])
    layout, rows = world.layout, 1 if config.guidance == 1.0 else 2
    shown = policy.indicator.weight[1 : 1 + rows]  # I = 1, and I hidden

    @torch.inference_mode()
    def decide() -> Tensor:
        memory, summary = policy.backbone(pictures[None], proprio, words)
        if not agent.efficient:
            noise = torch.randn(1, layout.frames, layout.tokens, layout.width)
            present = group(world.tokenizer.encode(pictures), world.patch)[None]
            clean = world.predictor(noise, torch.zeros(1), present, proprio, words)
            future = policy.future(clean[:, : layout.visual_frames].flatten(1, 2)) + policy.place
            memory = torch.cat([memory, future], dim=1)
        keys = [(k.expand(rows, -1, -1, -1), v.expand(rows, -1, -1, -1)) for k, v in policy.expert.remember(memory)]
        x = torch.randn(1, config.chunk, policy.schema.action_width)
        for step in range(config.ode_steps):
            tau = torch.full((rows,), step / config.ode_steps)
            field = policy.expert(x.expand(rows, -1, -1), tau, summary + shown, keys, None)
            x = x + (field if rows == 1 else torch.lerp(field[1:], field[:1], config.guidance)) / config.ode_steps
        return x

    return decide


def sample_agent(recipe: Recipe, beta: float, *, efficient: bool) -> Agent:
    """Of the recipe's sizes, with random weights, guided by `beta`."""
    size = recipe.env.image_size
    schema = StepSchema(
        cameras=dict.fromkeys(recipe.env.cameras, (size, size, 3)),
        proprio_width=4,
        action_low=(-1.0,) * 4,
        action_high=(1.0,) * 4,
    )
    torch.manual_seed(recipe.seed)
    world = WorldModel(recipe.world, schema)
    policy = VLAPolicy(replace(recipe.policy, guidance=beta), schema, world.token_shape)
    normalizer = Normalizer.fit(*np.random.default_rng(0).uniform(-1, 1, (2, 100, 4)))
    return Agent(policy, world, normalizer, efficient=efficient)


def sample_observation(recipe: Recipe) -> Observation:
    """Noise, as large as the recipe's pictures."""
    random, size = np.random.default_rng(0), recipe.env.image_size
    images = {camera: random.integers(0, 256, (size, size, 3), np.uint8) for camera in recipe.env.cameras}
    return Observation(images=images, proprio=np.zeros(4, np.float32), instruction="open the drawer")
