"""What the learner says on the notice board's stream "learner", as journal events.

Every entry has the fields stage, update (within the stage), total (updates of the stage), updates_per_s, wait_share,
policy_version and world_version; `spent_s.<what>` are seconds since the entry before; every other field that is a
number is a loss or another curve by its own name.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.conductor.journal import STAGES, Learner

STREAM = "learner"
_COUNTS = ("update", "total", "policy_version", "world_version")
_SHARES = ("updates_per_s", "wait_share")
_SPENT = "spent_s."


def parse(fields: Mapping[str, str]) -> Learner | None:
    """One entry; None for one that names no known stage."""
    if fields.get("stage") not in STAGES:
        return None
    numbers = {name: number for name, text in fields.items() if (number := _number(text)) is not None}
    counts = {name: int(numbers.pop(name, 0)) for name in _COUNTS}
    shares = {name: numbers.pop(name, 0.0) for name in _SHARES}
    spent = {name: numbers.pop(name) for name in list(numbers) if name.startswith(_SPENT)}
    return Learner(
        stage=fields["stage"],
        update=counts["update"],
        total=counts["total"],
        losses=numbers,
        updates_per_s=shares["updates_per_s"],
        wait_share=shares["wait_share"],
        policy_version=counts["policy_version"],
        world_version=counts["world_version"],
        spent_s={name.removeprefix(_SPENT): seconds for name, seconds in spent.items()},
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
