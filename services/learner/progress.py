"""How far a run has come, and what it was founded on: the small things that a checkpoint holds beside tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ramp.data.normalize import Normalizer
from ramp.data.thoughts import ThoughtVocabulary
from ramp.errors import NotFound
from ramp.models.manifest import schema_dict, schema_from
from ramp.recipes.recipe import Recipe
from ramp.types import StepSchema

DEMOS, WORLD, POLICY, JOINT, DONE = "demos", "world", "policy", "joint", "done"
STAGES = (DEMOS, WORLD, POLICY, JOINT, DONE)
"""In order: wait for demonstrations; RAMP's stage 1; stage 2; stages 3 and 4 side by side; nothing more to do."""


@dataclass(kw_only=True)
class Progress:
    """Where the stage machine stands. Counts applied updates only."""

    stage: str = DEMOS
    update: int = 0  # within the stage; of the policy where several models are trained
    policy_version: int = 0  # last published; 0: none
    world_version: int = 0  # last published, whose tokens the policy is given; 0: none

    def enter(self, stage: str) -> None:
        self.stage, self.update = stage, 0

    def plain(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Progress:
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in plain.items() if name in known})


def total(stage: str, recipe: Recipe) -> int:
    """Updates of a stage; 0 where it is not counted in updates."""
    stages = recipe.stages
    totals = {
        WORLD: stages.tokenizer_updates + stages.world_updates,
        POLICY: stages.policy_updates,
        JOINT: stages.joint_updates,
    }
    return totals.get(stage, 0)


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What was read off the demonstrations once, and holds for the whole run: schema, normalisation, and for a policy
    that thinks the words it thinks in."""

    schema: StepSchema
    normalizer: Normalizer
    thoughts: ThoughtVocabulary | None = None

    def write(self, path: Path) -> None:
        """Atomic, so that other workers and later lives read all of it."""
        plain = {"schema": schema_dict(self.schema), "normalizer": self.normalizer.to_dict()}
        if self.thoughts is not None:
            plain["thoughts"] = self.thoughts.to_dict()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(plain), encoding="utf-8")
        partial.replace(path)

    @classmethod
    def read(cls, path: Path) -> Basis | None:
        """None where the demonstrations have not been looked at yet."""
        if not path.is_file():
            return None
        plain = json.loads(path.read_text(encoding="utf-8"))
        thoughts = ThoughtVocabulary.from_dict(plain["thoughts"]) if "thoughts" in plain else None
        normalizer = Normalizer.from_dict(plain["normalizer"])
        return cls(schema=schema_from(plain["schema"]), normalizer=normalizer, thoughts=thoughts)

    @classmethod
    def of_run(cls, run_dir: Path) -> Basis:
        """Of a run that has looked at its demonstrations. Raises NotFound for another."""
        path = run_dir / "checkpoints" / "basis.json"
        basis = cls.read(path)
        if basis is None:
            raise NotFound(f"{path}: the run has not looked at its demonstrations; let it finish first")
        return basis
