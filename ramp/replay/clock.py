"""The time of day for what is kept for months: an operator or NTP setting the clock must not make it old, or future."""

from __future__ import annotations

import time

MAX_PAUSE_S = 366 * 86_400.0


class SteadyClock:
    """The wall clock as it stood when this was made, and the seconds since then as nobody can set them."""

    def __init__(self, newest: float = 0.0) -> None:
        """`newest`: the latest time that is written down so far, if any. A clock that is behind it, or more than a year
        before it, is not believed; time then goes on from there."""
        wall = time.time()
        is_believed = not newest or newest <= wall <= newest + MAX_PAUSE_S
        self._start = (wall if is_believed else newest) - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970; never less than before."""
        return self._start + time.monotonic()
