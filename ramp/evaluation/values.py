"""How good a value model is: the errors and the order of its remaining times (RAMP Table 1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ramp.errors import Invalid

BLOCK = 64  # inversions inside blocks of this size are counted by comparing all pairs


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueErrors:
    """Of predicted against true remaining time, both over the task's limit. Averages over tasks are averages of the
    tasks' figures, RMSE included, as the paper's table must have been made."""

    count: int
    mae: float
    mse: float
    rmse: float
    kendall: float  # tau-b: 1 same order, -1 reversed, nan where one side is constant


def value_errors(predicted: np.ndarray, actual: np.ndarray) -> ValueErrors:
    """Figures over N frames of one task. Raises Invalid where shapes differ, nothing is given or a number is not
    finite."""
    predicted, actual = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    if predicted.shape != actual.shape or predicted.ndim != 1 or not len(predicted):
        raise Invalid("predicted", f"shape {predicted.shape}", f"give as many as actual: {actual.shape}, at least one")
    if not (np.isfinite(predicted).all() and np.isfinite(actual).all()):
        raise Invalid("predicted", "a number that is not finite", "leave out frames without a value")
    error = predicted - actual
    mse = float(np.mean(error**2))
    tau = kendall_tau(predicted, actual)
    return ValueErrors(count=len(error), mae=float(np.mean(np.abs(error))), mse=mse, rmse=mse**0.5, kendall=tau)


def value_errors_by_task(
    predicted: np.ndarray, actual: np.ndarray, task: Sequence[str]
) -> tuple[dict[str, ValueErrors], ValueErrors]:
    """Per task, and the average over tasks. Raises Invalid as value_errors does."""
    names = np.asarray(task)
    if len(names) != len(predicted):
        raise Invalid("task", f"{len(names)} names", f"give one per value: {len(predicted)}")
    chosen = {name: names == name for name in sorted(set(names.tolist()))}
    found = {name: value_errors(np.asarray(predicted)[at], np.asarray(actual)[at]) for name, at in chosen.items()}
    return found, average(list(found.values()))


def average(errors: Sequence[ValueErrors]) -> ValueErrors:
    """The mean of every figure; tasks without an order to speak of have no say in Kendall's tau."""
    if not errors:
        raise Invalid("errors", "none", "give at least one task's figures")
    taus = [e.kendall for e in errors if np.isfinite(e.kendall)]
    return ValueErrors(
        count=sum(e.count for e in errors),
        mae=float(np.mean([e.mae for e in errors])),
        mse=float(np.mean([e.mse for e in errors])),
        rmse=float(np.mean([e.rmse for e in errors])),
        kendall=float(np.mean(taus)) if taus else float("nan"),
    )


def kendall_tau(x: np.ndarray, y: np.ndarray) -> float:
    """Kendall's tau-b in O(N log^2 N) (after Knight 1966): sort by x, then count how many pairs of y are out of order.
    nan where x or y is constant."""
    x, y = np.unique(x, return_inverse=True)[1], np.unique(y, return_inverse=True)[1]
    order = np.lexsort((y, x))
    discordant = inversions(y[order])
    pairs = len(x) * (len(x) - 1) // 2
    tied_x, tied_y = tied_pairs(x), tied_pairs(y)
    tied_both = tied_pairs(x * (int(y.max()) + 1) + y)
    if tied_x == pairs or tied_y == pairs:
        return float("nan")
    concordant_less_discordant = pairs - tied_x - tied_y + tied_both - 2 * discordant
    return float(concordant_less_discordant / np.sqrt(float(pairs - tied_x) * float(pairs - tied_y)))


def tied_pairs(values: np.ndarray) -> int:
    counts = np.unique(values, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def inversions(values: np.ndarray) -> int:
    """Pairs i < j with values[i] > values[j]: within either half, and across."""
    if len(values) <= BLOCK:
        return int(np.triu(values[:, None] > values[None, :], 1).sum())
    middle = len(values) // 2
    left, right = values[:middle], values[middle:]
    across = len(left) * len(right) - int(np.searchsorted(np.sort(left), right, side="right").sum())
    return inversions(left) + inversions(right) + across
