"""Runs, by name. Bigger ones are smaller ones with some numbers replaced."""

from __future__ import annotations

from collections.abc import Callable

from ramp.recipes.full import full
from ramp.recipes.metaworld import counting, debug, metaworld, study
from ramp.recipes.recipe import Recipe

RECIPES: dict[str, Callable[[], Recipe]] = {
    "metaworld": metaworld,
    "debug": debug,
    "counting": counting,
    "study": study,
    "full": full,
}

__all__ = ["RECIPES", "Recipe"]
