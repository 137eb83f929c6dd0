"""From cells to a table: success with intervals, time to success, successes per hour, and tests of differences."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from ramp.evaluation.paired import mcnemar
from ramp.evaluation.success import wilson
from services.conductor.study.cells import Cells, cell
from services.conductor.study.plan import Plan

Row = dict[str, Any]
Episodes = Sequence[dict[str, Any]]  # as study.field.outcome makes them


def rows(plan: Plan, cells: Cells) -> list[Row]:
    """One row per arm over all tasks and seeds, one per arm and task, one per pair of arms. Needs every cell."""
    found = {arm: _episodes(plan, cells, arm) for arm in (each.name for each in plan.arms)}
    tasks = list(dict.fromkeys(each["task"] for each in found[plan.arms[0].name]))
    table = [{"name": f"{arm}, all tasks"} | score(episodes) | _by_seed(episodes) for arm, episodes in found.items()]
    for task in tasks:
        for arm, episodes in found.items():
            table.append({"name": f"{arm}, {task}"} | score([each for each in episodes if each["task"] == task]))
    return table + _comparisons(plan, found)


def seconds(plan: Plan, cells: Cells) -> float:
    """That training and trying took, without the collecting of the data."""
    names = [cell(seed, arm.name) for seed in plan.seeds for arm in plan.arms]
    return sum(found["seconds"] for found in map(cells.get, names) if found is not None)


def score(episodes: Episodes) -> Row:
    """Successes with a 95 % Wilson interval; seconds are the robot's own, failures included in the hours."""
    won = [each for each in episodes if each["success"]]
    low, high = wilson(len(won), len(episodes))
    hours = sum(each["seconds"] for each in episodes) / 3600
    return {
        "success": f"{len(won)}/{len(episodes)} ({100 * low:.1f} to {100 * high:.1f} %)",
        "seconds_to_success": round(sum(each["seconds"] for each in won) / len(won), 2) if won else "-",
        "successes_per_hour": round(len(won) / hours) if hours else 0,
        "ms_per_decision": round(1e3 * sum(each["decision_s"] for each in episodes) / len(episodes), 1),
    }


def _by_seed(episodes: Episodes) -> Row:
    seeds = sorted({each["run"] for each in episodes})
    rates = [
        sum(each["success"] for each in episodes if each["run"] == seed) / sum(each["run"] == seed for each in episodes)
        for seed in seeds
    ]
    return {"by_seed": " ".join(f"{100 * rate:.1f} %" for rate in rates)}


def _comparisons(plan: Plan, found: dict[str, list[dict[str, Any]]]) -> list[Row]:
    """One arm against each other one on the same starts (McNemar)."""
    best, table = plan.against, []
    for arm in found:
        if arm == best:
            continue
        test = mcnemar(_by_start(found[best]), _by_start(found[arm]))
        table.append(
            {
                "name": f"{best} against {arm}, same starts",
                "difference": f"{100 * test.difference:+.1f} points",
                "won_alone": test.first_only,
                "lost_alone": test.second_only,
                "p": float(f"{test.p_value:.2g}"),
            }
        )
    return table


def _by_start(episodes: Episodes) -> dict[Hashable, bool]:
    return {(each["run"], each["task"], each["seed"]): each["success"] for each in episodes}


def _episodes(plan: Plan, cells: Cells, arm: str) -> list[dict[str, Any]]:
    found = []
    for seed in plan.seeds:
        measured = cells.get(cell(seed, arm))
        if measured is None:
            raise LookupError(f"{cell(seed, arm)} is not measured yet")
        found += [each | {"run": seed} for each in measured["episodes"]]
    return found
