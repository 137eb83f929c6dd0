"""What a comparison consists of, as a value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ramp.recipes.recipe import METHODS
from ramp.types import NEGATIVE, POSITIVE, UNLABELLED

START = "start"  # the policy that every arm starts from, as it is
TASKS = "tasks="  # begins the setting by which an arm is of some tasks alone

SINGLE = "button-press-topdown-v3"
"""The task that is also learnt alone: of the six, the one whose success is nearest to half before the joint stage (main
job in BENCHMARKS.md, "before"), so that a difference to either side can show."""

QUICK_DATA = (
    "tasks=drawer-open-v3,button-press-topdown-v3,reach-v3",
    "stages.tokenizer_updates=120",
    "stages.world_updates=250",
    "stages.policy_updates=250",
    "stages.joint_updates=120",
)
"""Settings by which the data of a quick comparison are made, whatever is compared."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One line of the table. Example: Arm(name="awr", settings=("training.algorithm=awr",))"""

    name: str
    settings: tuple[str, ...] = ()  # of its training, laid over the run's
    of: str = ""  # an earlier arm whose policy it tries in another way; "": it trains its own
    efficient: bool = False  # tried without the world model
    indicator: int = POSITIVE  # I that it is told when it is tried

    @property
    def tasks(self) -> tuple[str, ...]:
        """Whose data alone it learns from, and which alone it is tried on; (): all of the run's."""
        named = [setting.removeprefix(TASKS) for setting in self.settings if setting.startswith(TASKS)]
        return tuple(named[-1].split(",")) if named else ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One data set per seed, then every arm: from the same start, for as many updates, on the same held-out starts."""

    arms: tuple[Arm, ...]
    against: str  # the arm with which the others are compared
    recipe: str = "study"  # by which the data are made
    seeds: tuple[int, ...] = (0, 1, 2)
    episodes: int = 50  # of the evaluation, per task
    updates: int = 1500  # of every arm that trains
    collect: tuple[str, ...] = ()  # settings laid over the recipe
    first_seed: int = 2_000_000  # of the evaluation's starts

    def plain(self) -> dict[str, Any]:
        """As JSON has it, without the seeds: one more of them changes nothing of the others."""
        values = {name: value for name, value in asdict(self).items() if name != "seeds"}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def methods() -> Plan:
    """RAMP's figure 15: the objectives of the policy."""
    trained = [Arm(name=name, settings=(f"training.algorithm={name}",)) for name in sorted(METHODS)]
    return Plan(arms=(Arm(name=START, of=START), *trained), against="ramp")


def conditioning() -> Plan:
    """RAMP's figure 14 and its two modes: what the world model's tokens are worth, and what hiding them does.

    `policy.mask_world` and `policy.mask_indicator` are set alike; an efficient arm tries the same weights without the
    world model, two more try them with the indicator hidden and with that of worse actions: what it steers.

    The arms of one task make as many updates as the others, as at equal steps of the figure: they see their task
    as often as the others see all of theirs together. Start policy and world model have seen all tasks.
    """
    arms = [Arm(name=START, of=START), Arm(name="no tokens", settings=("training.algorithm=recap",))]
    for share in (0.0, 0.2, 0.5):
        masks = (f"policy.mask_world={share}", f"policy.mask_indicator={share}")
        arms.append(Arm(name=f"tokens, mask {share}", settings=("training.algorithm=ramp", *masks)))
        arms.append(Arm(name=f"tokens, mask {share}, efficient", of=f"tokens, mask {share}", efficient=True))
    said = "tokens, mask 0.2"
    arms.append(Arm(name=f"{said}, I hidden", of=said, indicator=UNLABELLED))
    arms.append(Arm(name=f"{said}, I = 0", of=said, indicator=NEGATIVE))
    for name, method in (("tokens", "ramp"), ("no tokens", "recap")):
        arms.append(Arm(name=f"one task, {name}", settings=(f"training.algorithm={method}", f"{TASKS}{SINGLE}")))
    return Plan(arms=tuple(arms), against="tokens, mask 0.2")


def quick(plan: Plan) -> Plan:
    """Ten minutes on two cores: shows that everything works, and no more."""
    return replace(
        plan,
        seeds=(0,),
        episodes=6,
        updates=150,
        collect=QUICK_DATA,
    )
