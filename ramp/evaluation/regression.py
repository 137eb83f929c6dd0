"""Has a version made things worse since it was let on robots?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot

from ramp.evaluation.success import wilson


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Episodes of one version, of all tasks together."""

    episodes: int = 0
    successes: int = 0
    helped: int = 0  # in which a person took over


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How sure one has to be."""

    episodes: int = 20  # since the promotion, before it is judged
    drop: float = 0.05  # of success
    rise: float = 0.1  # of the share of episodes with a takeover


def tally(episodes: Iterable[tuple[bool, bool]]) -> Tally:
    """Of (succeeded, helped) each."""
    rows = list(episodes)
    return Tally(episodes=len(rows), successes=sum(won for won, _ in rows), helped=sum(help_ for _, help_ in rows))


def regression(before: Tally, after: Tally, bounds: Bounds) -> str:
    """What has become worse, in words; "" where that is not sure, or too few episodes are known on either side.

    Sure is what the 95 % interval of the difference (Newcombe 1998, from Wilson's intervals) leaves no doubt about.
    """
    if min(before.episodes, after.episodes) < bounds.episodes:
        return ""
    _, best = difference(after.successes, after.episodes, before.successes, before.episodes)
    if best < -bounds.drop:
        return f"success fell by {-best:.2f} or more, from {_share(before.successes, before)} to " + _share(
            after.successes, after
        )
    least, _ = difference(after.helped, after.episodes, before.helped, before.episodes)
    if least > bounds.rise:
        return f"takeovers rose by {least:.2f} or more, from {_share(before.helped, before)} to " + _share(
            after.helped, after
        )
    return ""


def difference(hits: int, trials: int, other_hits: int, other_trials: int) -> tuple[float, float]:
    """95 % interval of the first rate minus the other."""
    (low, high), (other_low, other_high) = wilson(hits, trials), wilson(other_hits, other_trials)
    one, other = hits / max(trials, 1), other_hits / max(other_trials, 1)
    down, up = hypot(one - low, other_high - other), hypot(high - one, other - other_low)
    return one - other - down, one - other + up


def _share(count: int, of: Tally) -> str:
    return f"{count} of {of.episodes} episodes"
