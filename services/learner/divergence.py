"""What a training says whose numbers are none any more. Without torch: the conductor catches it too."""

from __future__ import annotations

from ramp.errors import RampError


class DivergedError(RampError):
    """Losses or weights are no longer finite. Out of the loop it means that going back did not help either: another try
    with the same settings would end like this one."""
