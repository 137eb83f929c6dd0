"""Statistics of a dataset in LeRobot's words: min, max, mean, std, count and the quantiles q01 to q99.

All are exact. Vectors: over rows, per dimension. Pictures: over the pixels of real frames, per colour, within [0, 1],
from histograms (a frame that is shown again until the next one counts once).
"""

from __future__ import annotations

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
VECTOR = ("min", "max", "mean", "std", *QUANTILES)  # as many numbers as the vector has
LEVELS = 256

Stats = dict[str, np.ndarray]
"""Name -> float64 [W] of a vector, [3, 1, 1] of pictures; `count` int64 [1]."""


def of_vectors(rows: np.ndarray) -> Stats:
    """`rows` [T, W] or [T], numbers or booleans; T at least 1."""
    values = rows.reshape(len(rows), -1).astype(np.float64)
    quantiles = np.quantile(values, list(QUANTILES.values()), axis=0)
    return {
        "min": values.min(axis=0),
        "max": values.max(axis=0),
        "mean": values.mean(axis=0),
        "std": values.std(axis=0),
        "count": np.array([len(values)]),
        **dict(zip(QUANTILES, quantiles, strict=True)),
    }


def histogram(frames: np.ndarray) -> np.ndarray:
    """int64 [3, 256] of uint8 [F, height, width, 3]."""
    return np.stack([np.bincount(frames[..., colour].reshape(-1), minlength=LEVELS) for colour in range(3)])


def of_pictures(counts: np.ndarray, frames: int) -> Stats:
    """From the summed histograms int64 [3, 256] of so many frames."""
    level, total = np.arange(LEVELS) / (LEVELS - 1), counts.sum(axis=1)
    mean = counts @ level / total
    square = counts @ level**2 / total
    reached = np.cumsum(counts, axis=1)
    found = {
        "min": level[np.argmax(counts > 0, axis=1)],
        "max": level[LEVELS - 1 - np.argmax(counts[:, ::-1] > 0, axis=1)],
        "mean": mean,
        "std": np.sqrt(np.maximum(square - mean**2, 0)),
        **{
            name: level[np.argmax(reached >= np.ceil(share * total)[:, None], axis=1)]
            for name, share in QUANTILES.items()
        },
    }
    return {name: values.reshape(3, 1, 1) for name, values in found.items()} | {"count": np.array([frames])}


def plain(stats: Stats) -> dict[str, list[float]]:
    """As JSON and parquet take it."""
    return {name: values.tolist() for name, values in stats.items()}
