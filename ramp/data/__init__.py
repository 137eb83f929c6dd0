"""From robot units to network units and back."""

from ramp.data.normalize import Normalizer
from ramp.data.transforms import fold_of, observation_tensors, remaining_time, to_tensors

__all__ = ["Normalizer", "fold_of", "observation_tensors", "remaining_time", "to_tensors"]
