"""The card: what it is, how fast it multiplies at best, and how long something takes on it."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ramp.evaluation.latency import median_seconds

SIZES = (4096, 8192, 12288, 16384)
SIZES_SMALL = (64, 128)
BURST = 5
"""Products per timing, so that one's start is hidden behind the other's work."""


@dataclass(frozen=True, order=True)
class Rate:
    """FLOP/s of a square product of `size` rows."""

    flops: float
    size: int


def matrix_peak(device: torch.device, sizes: tuple[int, ...]) -> Rate:
    """The best of the products in bfloat16. Random numbers: zeros take less power, and the card would clock higher."""
    return max(_rate(device, size) for size in sizes)


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Of one call, until the card has done all of it."""
    settle(device)
    began = time.perf_counter()
    call()
    settle(device)
    return time.perf_counter() - began


def settle(device: torch.device) -> None:
    """Wait until the card has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """From here on `peak_bytes` counts."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_bytes(device: torch.device) -> int | None:
    """Most memory that tensors took on the card; None where there is none."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def facts() -> dict[str, Any]:
    """Of the first card and the software that drives it; {} without one."""
    if not torch.cuda.is_available():
        return {}
    card = torch.cuda.get_device_properties(0)
    return {
        "gpu": card.name,
        "gpu_memory_bytes": card.total_memory,
        "compute_capability": f"{card.major}.{card.minor}",
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def lacking() -> str | None:
    """Why nothing can be measured here, in one line; None where it can."""
    if torch.version.cuda is None:
        return f"not run: needs a CUDA GPU, and torch built for it; torch {torch.__version__} is built without CUDA"
    if not torch.cuda.is_available():
        return "not run: needs a CUDA GPU; torch sees none here"
    if not torch.cuda.is_bf16_supported(including_emulation=False):
        return f"not run: needs a CUDA GPU that computes in bfloat16; {torch.cuda.get_device_name(0)} does not"
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return "not run: needs a C compiler, with which torch.compile builds the GPU's kernels' launchers"
    return None


def _rate(device: torch.device, size: int) -> Rate:
    random = torch.Generator(device).manual_seed(size)
    left, right = (
        torch.randn(size, size, generator=random, device=device, dtype=torch.bfloat16) / math.sqrt(size)
        for _ in range(2)
    )
    out = torch.empty_like(left)

    def burst() -> None:
        for _ in range(BURST):
            torch.mm(left, right, out=out)
        settle(device)

    return Rate(BURST * 2 * size**3 / median_seconds(burst), size)
