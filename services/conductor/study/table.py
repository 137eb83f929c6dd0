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
    """One row per arm over all tasks and seeds, one per arm and task, one per pair of arms. An arm of some tasks alone
    has no row over all of them. Needs every cell."""
    found = {arm: _episodes(plan, cells, arm) for arm in (each.name for each in plan.arms)}
    tasks = dict.fromkeys(each["task"] for episodes in found.values() for each in episodes)
    whole = [each.name for each in plan.arms if not each.tasks]
    table = [{"name": f"{arm}, all tasks"} | score(found[arm]) | _by_seed(found[arm]) for arm in whole]
    for task in tasks:
        for arm, episodes in found.items():
            chosen = [each for each in episodes if each["task"] == task]
            if chosen:
                table.append({"name": f"{arm}, {task}"} | score(chosen) | _by_seed(chosen))
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
    """One arm against each other one, and the first arm of some tasks alone against the others of the same tasks."""
    pairs = [(plan.against, arm.name) for arm in plan.arms if arm.name != plan.against]
    first: dict[tuple[str, ...], str] = {}
    for arm in plan.arms:
        if arm.tasks and first.setdefault(arm.tasks, arm.name) != arm.name:
            pairs.append((first[arm.tasks], arm.name))
    return [_comparison(one, other, found) for one, other in pairs]


def _comparison(one: str, other: str, found: dict[str, list[dict[str, Any]]]) -> Row:
    """McNemar's test on the starts from which both were tried."""
    won, lost = _by_start(found[one]), _by_start(found[other])
    common = won.keys() & lost.keys()
    test = mcnemar({start: won[start] for start in common}, {start: lost[start] for start in common})
    return {
        "name": f"{one} against {other}, same starts",
        "starts": test.starts,
        "difference": f"{100 * test.difference:+.1f} points",
        "won_alone": test.first_only,
        "lost_alone": test.second_only,
        "p": float(f"{test.p_value:.2g}"),
    }


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
