"""What the comparison of value models consists of, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from services.conductor.study.plan import QUICK_DATA

ARMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "vlm-distributional": ("vlm", ("value.bins=201",)),
    "vlm-scalar": ("vlm", ("value.bins=1",)),
    "wm-value-only": ("world", ("world.predicts=value", "training.algorithm=recap")),
    "wm-state+value": ("world", ("world.predicts=state",)),
}
"""The value models of RAMP's Table 1, and RECAP's: kind of model, and settings laid over the run's."""


@dataclass(frozen=True, kw_only=True)
class ValuePlan:
    """`ramp bench value`: on the data of the other comparisons, every value model for as many updates."""

    recipe: str = "study"  # by which the data are made
    seeds: tuple[int, ...] = (0, 1, 2)
    arms: tuple[str, ...] = tuple(ARMS)
    held_out: float = 0.2  # share of each task's episodes, to be tried on
    updates: int = 1500  # of every value model; the world model's tokenizer has its own, as in stage 1
    collect: tuple[str, ...] = ()  # settings laid over the recipe

    def plain(self) -> dict[str, Any]:
        """As JSON has it, without the seeds: one more of them changes nothing of the others."""
        values = {name: value for name, value in asdict(self).items() if name != "seeds"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def quick() -> ValuePlan:
    """Ten minutes on two cores: shows that everything works, and no more."""
    return ValuePlan(seeds=(0,), updates=150, collect=QUICK_DATA)
