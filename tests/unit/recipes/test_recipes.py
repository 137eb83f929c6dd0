"""Every recipe is a run that can start."""

from __future__ import annotations

import pytest

from ramp.recipes import RECIPES


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_agrees_with_itself(name: str) -> None:
    recipe = RECIPES[name]()
    assert recipe.tasks
    assert all(horizon % recipe.env.frame_stride == 0 for horizon in recipe.world.horizons)
    assert recipe.policy.chunk % recipe.env.frame_stride == 0
    assert recipe.advantage.n_steps % recipe.env.frame_stride == 0
    assert recipe.world.width % recipe.world.heads == 0 == recipe.policy.width % recipe.policy.heads
    assert max(recipe.world.horizons) < recipe.env.max_steps
    assert recipe.stages.joint_updates >= recipe.training.publish_every


def test_recipes_differ() -> None:
    assert len({repr(make()) for make in RECIPES.values()}) == len(RECIPES)
