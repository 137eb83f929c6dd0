"""What the comparison of value models consists of, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from services.conductor.study.plan import QUICK_DATA

JOINT = "wm-state+value"  # the arm with which the others are compared


@dataclass(frozen=True, kw_only=True)
class ValueArm:
    """One line of the table."""

    name: str
    model: str  # vlm or world, see services/learner/contestants.py
    settings: tuple[str, ...]  # of its training, laid over the run's


ARMS = (
    ValueArm(name="vlm-distributional", model="vlm", settings=("value.bins=201",)),
    ValueArm(name="vlm-scalar", model="vlm", settings=("value.bins=1",)),
    ValueArm(name="wm-value-only", model="world", settings=("world.predicts=value", "training.algorithm=recap")),
    ValueArm(name=JOINT, model="world", settings=("world.predicts=state",)),
)
"""The value models of RAMP's Table 1, and RECAP's."""


@dataclass(frozen=True, kw_only=True)
class ValuePlan:
    """`ramp bench value`: on the data of the other comparisons, every value model for as many updates."""

    recipe: str = "study"  # by which the data are made
    seeds: tuple[int, ...] = (0, 1, 2)
    arms: tuple[ValueArm, ...] = ARMS
    held_out: float = 0.2  # share of each task's episodes, to be tried on
    updates: int = 1500  # of every value model; the world model's tokenizer has its own, as in stage 1
    collect: tuple[str, ...] = ()  # settings laid over the recipe

    def plain(self) -> dict[str, Any]:
        """As a dict, without the seeds: one more of them changes nothing of the others."""
        return {name: value for name, value in asdict(self).items() if name != "seeds"}


def quick() -> ValuePlan:
    """Ten minutes on two cores: shows that everything works, and no more."""
    return ValuePlan(seeds=(0,), updates=150, collect=QUICK_DATA)
