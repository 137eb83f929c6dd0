"""A batch as a model takes it, and rows of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """A batch as a model takes it.

    Example: Sampled(tensors={"images": ...}, keys=[("count-7-1f", 8)], tasks=["count-up"], policy_versions=[3])
    """

    tensors: dict[str, Tensor]  # keys of ramp/data/transforms.py, on the CPU
    keys: list[tuple[str, int]]  # (episode, step) of each row
    tasks: list[str]  # of each row
    policy_versions: list[int]  # that acted, of each row; 0 where none did
    ahead: list[tuple[str, int]] = field(default_factory=list)  # of each future frame, row by row [B * K]


class Source(Protocol):
    """Where a loop takes its batches from."""

    def poll(self, timeout_s: float) -> Sampled | None:
        """The next batch, or None where there is none yet."""

    def close(self) -> None: ...


def joined(parts: Sequence[Sampled]) -> Sampled:
    """The rows of all parts, in order."""
    if len(parts) == 1:
        return parts[0]
    return Sampled(
        tensors={name: torch.cat([part.tensors[name] for part in parts]) for name in parts[0].tensors},
        keys=[key for part in parts for key in part.keys],
        tasks=[task for part in parts for task in part.tasks],
        policy_versions=[version for part in parts for version in part.policy_versions],
        ahead=[key for part in parts for key in part.ahead],
    )


def taken(sampled: Sampled, rows: Sequence[int]) -> Sampled:
    """These rows alone."""
    if len(rows) == len(sampled.keys):
        return sampled
    count = len(sampled.ahead) // max(len(sampled.keys), 1)  # future frames of a row
    return Sampled(
        tensors={name: tensor[list(rows)] for name, tensor in sampled.tensors.items()},
        keys=[sampled.keys[row] for row in rows],
        tasks=[sampled.tasks[row] for row in rows],
        policy_versions=[sampled.policy_versions[row] for row in rows],
        ahead=[sampled.ahead[row * count + each] for row in rows for each in range(count)],
    )
