"""What a comparison of methods consists of, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ramp.recipes.recipe import METHODS

START = "start"  # the policy that every method starts from, as it is


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`ramp bench methods`: one data set per seed, then every method from the same start for as many updates."""

    recipe: str = "study"  # by which the data are made
    seeds: tuple[int, ...] = (0, 1, 2)
    methods: tuple[str, ...] = METHODS
    episodes: int = 50  # of the evaluation, per task
    updates: int = 1500  # of every method
    collect: tuple[str, ...] = ()  # settings laid over the recipe
    first_seed: int = 2_000_000  # of the evaluation's starts

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def quick() -> Plan:
    """Ten minutes on two cores: shows that everything works, and no more."""
    return Plan(
        seeds=(0,),
        episodes=6,
        updates=150,
        collect=(
            "tasks=drawer-open-v3,button-press-topdown-v3,reach-v3",
            "stages.tokenizer_updates=120",
            "stages.world_updates=250",
            "stages.policy_updates=250",
            "stages.joint_updates=120",
        ),
    )
