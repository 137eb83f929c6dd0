"""One idea from one paper each: a batch becomes a loss."""

from ramp.advantage.config import AdvantageConfig
from ramp.algorithms.awr import AwrAlgorithm
from ramp.algorithms.bc import BehaviourCloningAlgorithm
from ramp.algorithms.ramp import RampAlgorithm
from ramp.algorithms.recap import RecapAlgorithm
from ramp.algorithms.tokenizer import TokenizerAlgorithm
from ramp.algorithms.value import ValueAlgorithm
from ramp.algorithms.world_model import WorldModelAlgorithm
from ramp.errors import Invalid

__all__ = [
    "AwrAlgorithm",
    "BehaviourCloningAlgorithm",
    "RampAlgorithm",
    "RecapAlgorithm",
    "TokenizerAlgorithm",
    "ValueAlgorithm",
    "WorldModelAlgorithm",
    "policy_algorithm",
]


PolicyAlgorithm = RampAlgorithm | RecapAlgorithm | AwrAlgorithm | BehaviourCloningAlgorithm
_PLAIN: dict[str, type[RampAlgorithm | RecapAlgorithm | BehaviourCloningAlgorithm]] = {
    "ramp": RampAlgorithm,
    "recap": RecapAlgorithm,
    "bc": BehaviourCloningAlgorithm,
}


def policy_algorithm(name: str, advantage: AdvantageConfig) -> PolicyAlgorithm:
    """The objective of a policy by the name that `training.algorithm` gives it. Raises Invalid for another name."""
    if name == "awr":
        return AwrAlgorithm(temperature=advantage.temperature, weight_clip=advantage.weight_clip)
    if name not in _PLAIN:
        raise Invalid("training.algorithm", name, f"choose one of {', '.join(sorted([*_PLAIN, 'awr']))}")
    return _PLAIN[name]()
