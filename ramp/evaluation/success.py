"""How often: a success rate with its interval."""

from __future__ import annotations

import math

from ramp.errors import Invalid


def wilson(successes: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a success rate; (0, 1) without trials. Raises Invalid for impossible counts."""
    if not 0 <= successes <= trials:
        raise Invalid("successes", f"{successes} of {trials}", "count between 0 and the number of trials")
    if trials == 0:
        return 0.0, 1.0
    rate, spread = successes / trials, z * z / trials
    centre = (rate + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(rate * (1 - rate) / trials + spread / (4 * trials))
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    return low, 1.0 if successes == trials else min(centre + half, 1.0)
