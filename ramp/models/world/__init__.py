"""RAMP's world model: what comes next and how long it will take. Its settings can be read without torch."""

import importlib
from typing import TYPE_CHECKING

from ramp.models.world.config import WorldConfig
from ramp.models.world.wan_config import WanConfig

if TYPE_CHECKING:
    from ramp.models.world.joint import JointModel, Prediction
    from ramp.models.world.latents import out_of_fold
    from ramp.models.world.model import WorldModel
    from ramp.models.world.wan import WanWorldModel

__all__ = ["JointModel", "Prediction", "WanConfig", "WanWorldModel", "WorldConfig", "WorldModel", "out_of_fold"]

_HOMES = {
    "JointModel": "joint",
    "Prediction": "joint",
    "WanWorldModel": "wan",
    "WorldModel": "model",
    "out_of_fold": "latents",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
