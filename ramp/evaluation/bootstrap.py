"""How sure an average over frames is: frames of one episode err alike, so episodes are what is drawn again."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from ramp.errors import Invalid

DRAWS = 2000


def frame_average(total: np.ndarray, frames: np.ndarray, group: Sequence[Hashable]) -> float:
    """The mean over groups of sum(total) / sum(frames) within each; total float [E] and frames int [E] of E episodes.

    With `total` an episode's summed absolute errors and `group` its task this is the MAE of RAMP's Table 1.
    """
    return float(np.mean([total[rows].sum() / frames[rows].sum() for rows in _groups(total, frames, group)]))


def bootstrap_interval(
    total: np.ndarray, frames: np.ndarray, group: Sequence[Hashable], *, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of `frame_average`: episodes drawn with replacement within their group (Efron 1979).

    Raises Invalid where lengths differ, nothing is given or an episode has no frames.
    """
    random, drawn = np.random.default_rng(seed), []
    for rows in _groups(total, frames, group):
        picks = rows[random.integers(len(rows), size=(DRAWS, len(rows)))]
        drawn.append(total[picks].sum(axis=1) / frames[picks].sum(axis=1))
    low, high = np.quantile(np.mean(drawn, axis=0), (0.025, 0.975))
    return float(low), float(high)


def _groups(total: np.ndarray, frames: np.ndarray, group: Sequence[Hashable]) -> list[np.ndarray]:
    if not len(total) == len(frames) == len(group) or not len(group):
        raise Invalid("episodes", (len(total), len(frames), len(group)), "give three columns of one length, not empty")
    if not (frames > 0).all():
        raise Invalid("frames", int(frames.min()), "leave out episodes without frames")
    rows: dict[Hashable, list[int]] = {}
    for row, name in enumerate(group):
        rows.setdefault(name, []).append(row)
    return [np.array(each) for each in rows.values()]
