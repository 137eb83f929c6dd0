"""RAMP's world model: what comes next and how long it will take."""

from ramp.models.world.config import WorldConfig
from ramp.models.world.latents import out_of_fold
from ramp.models.world.model import Prediction, WorldModel

__all__ = ["Prediction", "WorldConfig", "WorldModel", "out_of_fold"]
