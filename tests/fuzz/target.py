"""What is attacked: one decoder that sees bytes of strangers, and what must hold whatever they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module
from pathlib import Path

TARGETS = {
    "steps": ("wire:Steps", 40),
    "sampled": ("wire:Sampled", 25),
    "answers": ("wire:Answers", 15),
    "observed": ("wire:Observed", 5),
    "requests": ("doors:Requests", 20),
    "tickets": ("doors:Tickets", 10),
    "parcels": ("doors:Parcels", 10),
    "pictures": ("pictures:Pictures", 8),
    "service": ("service:Service", 5),
    "annotations": ("files:Annotations", 3),
    "checkpoint": ("files:Checkpoint", 3),
    "tombstones": ("files:Tombstones", 3),
    "snapshots": ("files:Snapshots", 1),
    "spool": ("files:SpoolFile", 3),
    "footer": ("footers:Footers", 2),
    "segment": ("segments:Segment", 0.2),
    "shelf": ("segments:Glanced", 0.6),
    "dataset": ("folders:Dataset", 0.8),
    "weights": ("folders:Weights", 0.6),
    "settings": ("texts:SettingsFile", 0.6),
    "query": ("texts:Query", 0.08),
}
"""Name -> its class in tests/fuzz/targets, and its share of all inputs; dear ones get few."""


class Target(ABC):
    """Made in an empty directory of its own.

    `feed` returns where the bytes were refused with an error of ramp.errors, and where what they say is true. Anything
    else that it raises is a finding, and so is the end of the process.
    """

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch

    @abstractmethod
    def seeds(self) -> list[bytes]:
        """True messages, from which the attack begins."""

    @abstractmethod
    def feed(self, data: bytes) -> None:
        """One input."""

    def settle(self) -> None:  # noqa: B027  # most decoders store nothing
        """After the last input: is what was stored still whole? Raises where it is not."""


def load(name: str) -> type[Target]:
    """A target by its name. Modules are imported when they are wanted: some cost seconds."""
    module, _, attribute = TARGETS[name][0].partition(":")
    found: type[Target] = getattr(import_module(f"tests.fuzz.targets.{module}"), attribute)
    return found


def shares(names: list[str], inputs: int) -> dict[str, int]:
    """How many of the inputs each target gets; together `inputs` or a few more."""
    total = sum(TARGETS[name][1] for name in names)
    return {name: int(inputs * TARGETS[name][1] / total) + 1 for name in names}
