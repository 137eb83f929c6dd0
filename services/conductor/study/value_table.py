"""From cells to RAMP's Table 1: seconds per frame, MAE, MSE, RMSE and Kendall's tau, with what is sure of them.

All figures are of remaining time over the task's limit; each is an average over tasks, and over seeds (so RMSE is not
the root of MSE, and is not in the paper either). Intervals are 95 % bootstrap intervals over episodes.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np

from ramp.errors import Conflict
from ramp.evaluation import ValueErrors, average, bootstrap_interval, frame_average, value_errors_by_task
from services.conductor.study.cells import Cells, cell
from services.conductor.study.value_plan import JOINT, ValuePlan

Row = dict[str, Any]
Cell = dict[str, Any]  # what services/learner/values.py has found
Episodes = list[dict[str, Any]]  # of one seed, likewise


@dataclass(frozen=True, kw_only=True)
class _Errors:
    """Absolute errors of one arm, as columns over the E held-out episodes of all seeds."""

    episode: list[tuple[int, str]]  # seed, id
    group: list[tuple[int, str]]  # seed, task
    total: np.ndarray  # float64 [E], summed over an episode's frames
    frames: np.ndarray  # int64 [E]


def rows(plan: ValuePlan, cells: Cells) -> list[Row]:
    """One row per arm over all tasks, one per arm and task, three per arm with two value outputs, and joint prediction
    against each other arm on the same episodes. Needs every cell. Raises Conflict where the arms were tried on
    different episodes."""
    found = {arm.name: [_measured(cells, seed, arm.name) for seed in plan.seeds] for arm in plan.arms}
    errors = {arm: _errors(plan, [each["episodes"] for each in measured]) for arm, measured in found.items()}
    figures = {arm: [_figures(each["episodes"]) for each in measured] for arm, measured in found.items()}
    table = [_whole(arm, found[arm], [mean for _, mean in figures[arm]], errors[arm]) for arm in found]
    for task in sorted({task for by_task, _ in figures[plan.arms[0].name] for task in by_task}):
        for arm in found:
            table.append({"name": f"{arm}, {task}"} | _shown(average([by_task[task] for by_task, _ in figures[arm]])))
    table += [row for arm, measured in found.items() if measured[0]["learnt"] for row in _outputs(plan, arm, measured)]
    return table + [_against(arm, errors) for arm in found if JOINT in found and arm != JOINT]


def _whole(arm: str, measured: list[Cell], by_seed: list[ValueErrors], errors: _Errors) -> Row:
    low, high = bootstrap_interval(errors.total, errors.frames, errors.group)
    return {
        "name": f"{arm}, all tasks",
        "seconds_per_frame": _digits(statistics.mean(each["seconds_per_frame"] for each in measured)),
        **_shown(average(by_seed)),
        "mae_interval": f"{low:.4f} to {high:.4f}",
        "mae_by_seed": " ".join(f"{each.mae:.4f}" for each in by_seed),
        "parameters": measured[0]["parameters"],
        "episodes": len(errors.episode),
    }


def _outputs(plan: ValuePlan, arm: str, measured: list[Cell]) -> list[Row]:
    """One value output on frames that it has learnt, that only the other one has, and that neither has. Where the last
    two agree, what one output learns does not reach the other through the weights they share."""
    learnt, held_out = [each["learnt"] for each in measured], [each["episodes"] for each in measured]
    return [
        _output(plan, f"{arm}, frames that this value output has learnt", learnt, "other"),
        _output(plan, f"{arm}, frames that only the other output has learnt", learnt, "label"),
        _output(plan, f"{arm}, frames that neither output has learnt", held_out, "label"),
    ]


def _output(plan: ValuePlan, name: str, by_seed: list[Episodes], column: str) -> Row:
    errors = _errors(plan, by_seed, column)
    low, high = bootstrap_interval(errors.total, errors.frames, errors.group)
    shown = _shown(average([_figures(each, column)[1] for each in by_seed]))
    return {"name": name} | shown | {"mae_interval": f"{low:.4f} to {high:.4f}", "episodes": len(errors.episode)}


def _shown(errors: ValueErrors) -> Row:
    figures = {name: round(getattr(errors, name), 4) for name in ("mae", "mse", "rmse")}
    kendall = round(errors.kendall, 4) if math.isfinite(errors.kendall) else "-"
    return figures | {"kendall": kendall, "frames": errors.count}


def _against(arm: str, errors: dict[str, _Errors]) -> Row:
    """Negative: joint prediction of state and value errs less."""
    joint, other = errors[JOINT], errors[arm]
    if joint.episode != other.episode:
        remedy = "the data were changed meanwhile; choose another --dir"
        raise Conflict("episodes", f"{JOINT} and {arm} were tried on different ones", remedy)
    difference = joint.total - other.total
    low, high = bootstrap_interval(difference, joint.frames, joint.group)
    return {
        "name": f"{JOINT} against {arm}, same episodes",
        "mae_difference": f"{frame_average(difference, joint.frames, joint.group):+.4f}",
        "interval": f"{low:+.4f} to {high:+.4f}",
    }


def _figures(episodes: Episodes, column: str = "predicted") -> tuple[dict[str, ValueErrors], ValueErrors]:
    """Of one seed: by task, and their average."""
    predicted, remaining = (np.concatenate([each[name] for each in episodes]) for name in (column, "remaining"))
    task = [each["task"] for each in episodes for _ in each["remaining"]]
    return value_errors_by_task(predicted, remaining, task)


def _errors(plan: ValuePlan, by_seed: list[Episodes], column: str = "predicted") -> _Errors:
    flat = [(seed, each) for seed, episodes in zip(plan.seeds, by_seed, strict=True) for each in episodes]
    wrong = [np.abs(np.subtract(each[column], each["remaining"])) for _, each in flat]
    return _Errors(
        episode=[(seed, each["episode"]) for seed, each in flat],
        group=[(seed, each["task"]) for seed, each in flat],
        total=np.array([each.sum() for each in wrong]),
        frames=np.array([len(each) for each in wrong]),
    )


def _measured(cells: Cells, seed: int, arm: str) -> Cell:
    found = cells.get(cell(seed, arm))
    if found is None:
        raise LookupError(f"{cell(seed, arm)} is not measured yet")
    return found


def _digits(seconds: float) -> float:
    return float(f"{seconds:.3g}")
