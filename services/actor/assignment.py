"""What the conductor asks of an actor: one episode."""

from __future__ import annotations

from dataclasses import dataclass

from ramp.errors import Invalid
from ramp.types import NEGATIVE, POSITIVE, UNLABELLED

PURPOSES = ("demo", "rollout", "eval")


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """One episode to collect. Demonstrations and rollouts go to replay; an evaluation is not stored.

    Example: Assignment(purpose="rollout", task="drawer-open-v3", seed=17, policy_version=0, tables=("online",))
    """

    purpose: str  # "demo": the scripted expert with noise; "rollout": policy and person; "eval": policy alone
    task: str
    seed: int  # of the start
    policy_version: int = 0  # 0: the latest one; "demo" needs none
    tables: tuple[str, ...] = ()  # of replay; none for "eval"
    aloud: bool = False  # the policy says at each decision what it is about; it must have been trained to think
    efficient: bool = False  # the policy acts without the world model: no tokens, no predicted remaining time
    indicator: int = POSITIVE  # I that the policy is told; UNLABELLED hides it

    def __post_init__(self) -> None:
        if self.purpose not in PURPOSES:
            raise Invalid("purpose", self.purpose, f"use one of {', '.join(PURPOSES)}")
        if (self.purpose == "eval") == bool(self.tables):
            raise Invalid("tables", self.tables, "an evaluation has none, every other episode at least one")
        if self.efficient and self.purpose != "eval":
            raise Invalid("efficient", self.purpose, "only an evaluation can do without the predicted remaining time")
        if self.indicator not in (NEGATIVE, POSITIVE, UNLABELLED):
            raise Invalid("indicator", self.indicator, f"use {POSITIVE}, {NEGATIVE}, or {UNLABELLED} to hide it")
        if self.indicator != POSITIVE and self.purpose != "eval":
            raise Invalid("indicator", self.indicator, "only an evaluation asks for anything but good actions")
        if self.aloud and self.purpose != "eval":
            raise Invalid("aloud", self.purpose, "only an evaluation has time for what nobody acts on")
        if self.seed < 0 or self.policy_version < 0:
            raise Invalid("seed, policy_version", (self.seed, self.policy_version), "use 0 or more")
