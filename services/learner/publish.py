"""Publishing: manifest, registry, alias, announcement. What was published before a crash is not published again."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ramp.errors import Corrupt, RampError
from ramp.models.vla.instructions import TOKENIZER
from ramp.types import Kind
from services.clients.connect import AnyClient
from services.clients.registry import DirectoryRegistry
from services.common.code import code
from services.common.coordination import Coordination
from services.common.metrics import LEARNER_VERSION
from services.learner.precision import published
from services.learner.tokenizer_file import kept_tokenizer

LOG = logging.getLogger(__name__)


class Publisher:
    """Worker 0's way to the registry."""

    def __init__(
        self,
        registry: DirectoryRegistry,
        board: Coordination,
        replay: AnyClient,
        recipe: str,
        *,
        precision: str,
        home: Path,
    ) -> None:
        """`precision` of the weights as `training.precision` has it; `home` is where the run keeps its tokenizer."""
        self._registry, self._board, self._replay, self._recipe = registry, board, replay, recipe
        self._precision, self._home = precision, home

    def publish(
        self, kind: Kind, weights: Mapping[str, Tensor], manifest: Mapping[str, Any], aliases: tuple[str, ...]
    ) -> int:
        """The version that stands for `manifest["update"]` of this kind: a new one, or the one of an earlier life.
        Its parent is the version before, unless the manifest names another.

        Raises Full, Invalid.
        """
        number = self._published(kind, int(manifest["update"]))
        if number is None:
            stored, beside = published(weights, self._precision), self._beside(kind)
            number = self._registry.publish(kind, stored, {**self._provenance(kind), **manifest}, beside)
        self.point(kind, number, aliases)
        LEARNER_VERSION.labels(kind.value).set(number)
        return number

    def point(self, kind: Kind, number: int, aliases: tuple[str, ...]) -> None:
        """Move aliases to a version, and say so."""
        for alias in aliases:
            self._registry.alias(kind, alias, number)
            self._board.publish_alias(kind, alias, number)

    def _published(self, kind: Kind, update: int) -> int | None:
        for number in reversed(self._registry.versions(kind)):
            try:
                manifest = self._registry.manifest(kind, number)
            except Corrupt as error:
                LOG.error("a damaged version is passed over: %s", error)
                continue
            if int(manifest.get("update", -1)) == update:
                return number
        return None

    def _beside(self, kind: Kind) -> dict[str, bytes]:
        """What a policy needs besides its weights."""
        tokenizer = kept_tokenizer(self._home) if kind is Kind.POLICY else None
        return {} if tokenizer is None else {TOKENIZER: tokenizer}

    def _provenance(self, kind: Kind) -> dict[str, Any]:
        versions = self._registry.versions(kind)
        return {
            "parent": versions[-1] if versions else None,
            "code": code(),
            "recipe": self._recipe,
            "watermark": self._watermark(),
        }

    def _watermark(self) -> dict[str, Any]:
        """Items that each table had received, and a time after which no episode had ended that training has drawn from;
        empty where replay does not answer just now."""
        try:
            info = self._replay.info()
        except RampError:
            return {}
        return {"items": {table.name: table.inserted_items for table in info.tables}, "ended_by": info.now}


def finite(means: Mapping[str, float]) -> dict[str, float]:
    """Metrics for a manifest, which is JSON."""
    return {name: value for name, value in means.items() if math.isfinite(value)}
