"""How long a run still takes: arithmetic on the rates seen so far."""

from __future__ import annotations

from ramp.recipes.recipe import Recipe
from services.conductor import schedule
from services.conductor.journal import Learner
from services.conductor.ledger import Ledger
from services.conductor.schedule import Landmarks
from services.learner.progress import JOINT, POLICY, WORLD, total


def progress(recipe: Recipe, ledger: Ledger, learner: Learner | None) -> float:
    """Of the present stage, in [0, 1]."""
    if ledger.stage == "demos":
        wanted = recipe.demos.episodes_per_task * len(recipe.tasks)
        return 1.0 - schedule.demos_missing(recipe, ledger) / max(wanted, 1)
    if ledger.stage == "done":
        return 1.0
    if learner is None or learner.stage != ledger.stage or not learner.total:
        return 0.0
    return min(1.0, learner.update / learner.total)


def left_s(
    recipe: Recipe, ledger: Ledger, marks: Landmarks, learner: Learner | None, episodes_per_s: float
) -> float | None:
    """Seconds until the end, or None before the learner's pace is known. Later stages are taken at the present pace."""
    episodes = _evaluations_left(recipe, ledger, marks)
    after = episodes / episodes_per_s if episodes_per_s > 0 else None
    if marks.final:
        return after
    if learner is None or learner.updates_per_s <= 0:
        return None
    totals = {stage: total(stage, recipe) for stage in (WORLD, POLICY, JOINT)}
    updates = 0.0
    for stage in list(totals)[list(totals).index(learner.stage) :] if learner.stage in totals else totals:
        whole = learner.total if stage == learner.stage and learner.total else totals[stage]
        updates += whole - (learner.update if stage == learner.stage else 0)
    final_share = recipe.evaluation.episodes_per_task * len(recipe.tasks)  # runs after the learner, not beside it
    return max(updates, 0.0) / learner.updates_per_s + (final_share / episodes_per_s if episodes_per_s > 0 else 0.0)


def _evaluations_left(recipe: Recipe, ledger: Ledger, marks: Landmarks) -> int:
    left = 0
    for each in schedule.wanted(recipe, ledger, marks):
        left += each.episodes_per_task * len(recipe.tasks) - len(ledger.tried.get((each.label, each.version), {}))
    return left
