"""What a round of the joint stage begins from, where rounds do not go on from each other (RECAP, Algorithm 1)."""

from __future__ import annotations

import logging

from ramp.recipes.recipe import PRETRAINED
from ramp.types import Kind
from services.clients.registry import DirectoryRegistry
from services.learner.trainer import POLICY, PREDICTOR, Trainer

LOG = logging.getLogger(__name__)

STAGE2 = "stage2"  # alias of the policy that stage 2 ends with
MODELS = {Kind.POLICY: POLICY, Kind.WORLD: PREDICTOR}  # that the joint stage trains


class Pretrained:
    """The policy of stage 2 and the world model it was trained with. They are in the registry, so that a learner that
    dies comes back to the same weights. Under any other `training.restart` than "pretrained" there are none."""

    def __init__(self, restart: str, registry: DirectoryRegistry) -> None:
        self._wanted, self._registry = restart == PRETRAINED, registry

    def versions(self) -> dict[Kind, int]:
        """By kind; none where rounds go on from each other. Raises NotFound before stage 2 has ended."""
        if not self._wanted:
            return {}
        manifest = self._registry.manifest(Kind.POLICY, STAGE2)
        return {Kind.POLICY: int(manifest["version"]), Kind.WORLD: int(manifest["world_version"])}

    def begin_round(self, trainer: Trainer) -> None:
        """Both models from these weights, their optimisers anew. Collective. Raises NotFound, Corrupt, Invalid."""
        for kind, number in self.versions().items():
            trainer.restart(MODELS[kind], self._registry.load(kind, number)[0])
            LOG.info("a round begins from %s %d", kind, number)
