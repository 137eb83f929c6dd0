"""Sides that take turns, so that a busy machine is busy for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

T = TypeVar("T")

WARM_UP = 3  # pairs that do not count


def alternate(first: Callable[[], object], second: Callable[[], object], pairs: int) -> tuple[list[float], list[float]]:
    """Seconds of each call, in pairs; each side begins every other pair."""
    ours: list[float] = []
    theirs: list[float] = []
    for pair in range(pairs + WARM_UP):
        sides = [(first, ours), (second, theirs)]
        for call, seconds in sides if pair % 2 else sides[::-1]:
            began = time.perf_counter()
            call()
            _wait_for_gpu()
            if pair >= WARM_UP:
                seconds.append(time.perf_counter() - began)
    return ours, theirs


def rotate(calls: Mapping[str, Callable[[], T]], turns: int) -> dict[str, list[T]]:
    """What each call returned, turn by turn; another one begins every turn."""
    found: dict[str, list[T]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            found[name].append(calls[name]())
    return found


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
