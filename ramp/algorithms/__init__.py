"""One idea from one paper each: a batch becomes a loss."""

from ramp.algorithms.bc import BehaviourCloningAlgorithm
from ramp.algorithms.ramp import RampAlgorithm
from ramp.algorithms.tokenizer import TokenizerAlgorithm
from ramp.algorithms.world_model import WorldModelAlgorithm

__all__ = ["BehaviourCloningAlgorithm", "RampAlgorithm", "TokenizerAlgorithm", "WorldModelAlgorithm"]
