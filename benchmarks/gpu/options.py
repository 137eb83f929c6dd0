"""What can be asked of this benchmark."""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Options:
    """Of `make bench-gpu`; 0 leaves a number to the benchmark, which prints what it takes."""

    small: bool  # tiny models, also without a GPU: shows that it works
    batch: int = 0  # samples per training step
    layers: int = 0  # of the model in training

    def words(self) -> list[str]:
        """As they are written on a command line."""
        numbers = {"--batch": self.batch, "--layers": self.layers}
        given = [word for name, number in numbers.items() if number for word in (name, str(number))]
        return [*(["--small"] if self.small else []), *given]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--small", action="store_true", help="tiny models, also without a GPU; nothing is written")
    parser.add_argument("--batch", type=positive, default=0, help="samples per training step (default: what fits)")
    parser.add_argument("--layers", type=positive, default=0, help="layers in training (default: all, if they fit)")


def from_arguments(arguments: argparse.Namespace) -> Options:
    return Options(small=arguments.small, batch=arguments.batch, layers=arguments.layers)


def positive(text: str) -> int:
    """A number of samples or layers. Raises ValueError, which argparse turns into its message."""
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number
