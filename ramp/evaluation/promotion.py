"""Is a version good enough to replace the one that robots act by?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ramp.errors import Invalid
from ramp.evaluation.bootstrap import bootstrap_interval
from ramp.evaluation.paired import mcnemar

Start = tuple[str, int]
"""Task and seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Two versions on the same starts.

    Example: Comparison(starts=90, gain=0.04, low=-0.01, high=0.1, only_new=7, only_old=3, p_value=0.34)
    """

    starts: int
    gain: float  # success of the new one minus that of the old one, mean over tasks
    low: float  # 95 % interval of the gain, starts drawn again within their task
    high: float
    only_new: int  # starts on which only the new one succeeded
    only_old: int
    p_value: float  # McNemar's, of "both are equally good"


def compared(new: Mapping[Start, bool], old: Mapping[Start, bool]) -> Comparison:
    """Success by start of both. Raises Invalid where there are no starts, or not the same ones on both sides."""
    test, starts = mcnemar(new, old), sorted(new)
    gains = np.array([float(new[start]) - float(old[start]) for start in starts])
    tasks = [task for task, _ in starts]
    low, high = bootstrap_interval(gains, np.ones(len(starts)), tasks)
    mean = float(np.mean([gains[[each == task for each in tasks]].mean() for task in sorted(set(tasks))]))
    return Comparison(
        starts=len(starts),
        gain=mean,
        low=low,
        high=high,
        only_new=test.first_only,
        only_old=test.second_only,
        p_value=test.p_value,
    )


def check_promotion(found: Comparison, *, min_starts: int, min_gain: float) -> None:
    """Raises Invalid, saying what is missing, unless the new version is sure enough not to be worse."""
    if found.starts < min_starts:
        raise Invalid("release.min_starts", f"{found.starts} starts", f"evaluate on {min_starts} or more")
    if found.low < min_gain:
        value = f"gain {found.gain:+.3f}, 95 % from {found.low:+.3f} to {found.high:+.3f}"
        remedy = f"its lower bound must be {min_gain:+.3f} or more: train on, evaluate on more starts, or --force"
        raise Invalid("release.min_gain", value, remedy)
