"""Meta-World: the default run on a bare machine, and a short one for looking at the machinery."""

from __future__ import annotations

from dataclasses import replace

from ramp.envs.config import EnvConfig
from ramp.models.value.config import ValueConfig
from ramp.models.vla.config import PolicyConfig
from ramp.models.world.config import WorldConfig
from ramp.recipes.recipe import DemosConfig, EvaluationConfig, Recipe, ReplayConfig, StagesConfig, TrainingConfig


def metaworld() -> Recipe:
    """Several tasks, one policy, at most 20 minutes on two cores: the numbers of ramp/recipes/recipe.py."""
    return Recipe()


def debug() -> Recipe:
    """All four stages on two tasks in a minute or two; too short for a good policy."""
    return replace(
        metaworld(),
        tasks=("drawer-open-v3", "button-press-topdown-v3"),
        demos=DemosConfig(episodes_per_task=4),
        stages=StagesConfig(tokenizer_updates=20, world_updates=40, policy_updates=60, joint_updates=120),
        training=TrainingConfig(
            policy_batch=32, world_batch=16, warmup=10, world_every=4, publish_every=30, relabel_every=60
        ),
        sampling=ReplayConfig(min_items=20),
        evaluation=EvaluationConfig(episodes_per_task=2, interim_episodes_per_task=1, interim_every=2),
    )


def study() -> Recipe:
    """The data of `ramp bench`: six tasks of rising difficulty, demonstrations, and what a policy cloned from them did
    with a person beside it. It is never updated in between, so that no method's own data favour it."""
    base = metaworld()
    return replace(
        base,
        tasks=(
            "drawer-open-v3",
            "button-press-topdown-v3",
            "window-open-v3",
            "door-open-v3",
            "reach-v3",
            "hammer-v3",
        ),
        stages=replace(base.stages, joint_updates=800),
        training=replace(base.training, algorithm="bc", publish_every=800, relabel_every=400),
        sampling=replace(base.sampling, samples_per_insert=4.0),
        evaluation=replace(base.evaluation, episodes_per_task=1, interim_every=1_000_000),
    )


def counting() -> Recipe:
    """The test world, where every number on the road can be foretold; seconds, tiny models."""
    return replace(
        debug(),
        tasks=("count-up", "count-down"),
        env=EnvConfig(suite="counting", max_steps=40),
        world=WorldConfig(horizons=(4, 8), latent_channels=4, width=32, layers=1, heads=2),
        policy=PolicyConfig(chunk=4, ode_steps=2, width=32, layers=1, heads=2, channels=8, shift=0),
        value=ValueConfig(width=32, channels=8),
        demos=DemosConfig(episodes_per_task=3),
        stages=StagesConfig(tokenizer_updates=3, world_updates=4, policy_updates=5, joint_updates=20),
        training=TrainingConfig(
            policy_batch=8, world_batch=4, warmup=2, world_every=4, publish_every=5, relabel_every=10
        ),
        sampling=ReplayConfig(min_items=8),
    )
