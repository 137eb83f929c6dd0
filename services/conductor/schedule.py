"""What the actors do next: a pure function of what has happened.

    no policy yet          demonstrations, until every task has its number; then nothing
    stage 2 published      rollouts; once the online table can be sampled, every second assignment is an evaluation
                           while one is wanted: first the Stage-2 policy ("before"), then versions in between; no
                           rollouts while replay would let them wait for the learner
    final published        what is left of "before", then the evaluation of the final policy ("after"), then the end

A lost assignment needs no bookkeeping: it is not in flight any more and not in the ledger, so it is wanted again. A
demonstration or rollout is then tried on a new seed, because replay may hold the lost one after all (`note_seed`); an
evaluation, of which nothing is stored, on the same seed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ramp.errors import Invalid
from ramp.recipes.recipe import SEED_BLOCK, Recipe
from ramp.types import Kind
from services.actor.assignment import Assignment
from services.conductor.ledger import Ledger

ROLLOUT_SEEDS = 20_000  # where those of the rollouts begin; demonstrations lie below
HARD_TASK_BONUS = 2.0  # a task that always needs help gets 1 + this many rollouts for one of a task that never does


@dataclass(frozen=True, slots=True)
class Dispatch:
    """An assignment with the evaluation it belongs to ("" for training data)."""

    assignment: Assignment
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Landmarks:
    """Policy versions that decide what is wanted; 0 where not published yet."""

    stage2: int = 0
    final: int = 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """One evaluation that is to be complete."""

    label: str
    version: int
    episodes_per_task: int


def next_dispatch(
    recipe: Recipe, ledger: Ledger, marks: Landmarks, inflight: Sequence[Dispatch], *, room: float = math.inf
) -> Dispatch | None:
    """The next piece of work, or None where there is none now. `room`: rollouts that replay still lets in."""
    if not marks.stage2:
        return _demo(recipe, ledger, inflight)
    evaluation = next(_evaluations(recipe, ledger, marks, inflight), None)
    if marks.final or room < 1:
        return evaluation
    if evaluation is None or not _is_evaluations_turn(recipe, ledger, inflight):
        return _rollout(recipe, ledger, inflight)
    return evaluation


def wanted(recipe: Recipe, ledger: Ledger, marks: Landmarks) -> list[Wanted]:
    """Evaluations that are due and not complete, in the order in which they are worked on."""
    due = [Wanted("stage2", marks.stage2, recipe.evaluation.episodes_per_task)] if marks.stage2 else []
    if marks.final:
        due.append(Wanted("final", marks.final, recipe.evaluation.episodes_per_task))
    elif interim := _interim(recipe, ledger, marks):
        due.append(Wanted("interim", interim, recipe.evaluation.interim_episodes_per_task))
    return [each for each in due if (each.label, each.version) not in ledger.evaluated and each.episodes_per_task]


def is_complete(recipe: Recipe, ledger: Ledger, each: Wanted) -> bool:
    """Whether every episode of an evaluation has come in."""
    return not _missing(recipe, each, ledger.tried.get((each.label, each.version), {}))


def is_over(recipe: Recipe, ledger: Ledger, marks: Landmarks) -> bool:
    """Whether nothing is left to do."""
    return bool(marks.final) and not wanted(recipe, ledger, marks)


def note_seed(ledger: Ledger, assignment: Assignment) -> None:
    """A seed of training data was handed out and is never handed out again."""
    if assignment.purpose != "eval":
        top = ledger.top_seed.get(assignment.purpose, -1)
        ledger.top_seed[assignment.purpose] = max(top, assignment.seed)


def skip_seeds(recipe: Recipe, ledger: Ledger, inflight: int) -> None:
    """After a crash: pass over the seeds that may have been in flight. Seeds are handed out in order, so at most
    `inflight` of them lie above the highest that is known, or above the beginning where none is."""
    for purpose, offset in (("demo", 0), ("rollout", ROLLOUT_SEEDS)):
        ledger.top_seed[purpose] = _next_seed(recipe, ledger, purpose, offset) + inflight - 1


def demos_missing(recipe: Recipe, ledger: Ledger) -> int:
    """Demonstrations still to be collected, all tasks together."""
    want = recipe.demos.episodes_per_task
    return sum(max(0, want - ledger.demos[task]) for task in recipe.tasks)


def activity(recipe: Recipe, ledger: Ledger, marks: Landmarks) -> str:
    """What the actors are there for now, in words."""
    if not marks.stage2:
        return "demonstrations" if demos_missing(recipe, ledger) else "waiting for the Stage-2 policy"
    due = [f"evaluation {each.label} of policy {each.version}" for each in wanted(recipe, ledger, marks)]
    return ", ".join(due if marks.final else ["rollouts", *due]) or "nothing left"


def _demo(recipe: Recipe, ledger: Ledger, inflight: Sequence[Dispatch]) -> Dispatch | None:
    """The task that is furthest behind."""
    flying = Counter(each.assignment.task for each in inflight if each.assignment.purpose == "demo")
    flying += Counter(each.task for each in ledger.unconfirmed.values() if each.purpose == "demo")
    have = {task: ledger.demos[task] + flying[task] for task in recipe.tasks}
    task = min(recipe.tasks, key=lambda name: have[name])
    if have[task] >= recipe.demos.episodes_per_task:
        return None
    seed = _next_seed(recipe, ledger, "demo", 0)
    return Dispatch(Assignment(purpose="demo", task=task, seed=seed, policy_version=0, tables=("demos",)))


def _rollout(recipe: Recipe, ledger: Ledger, inflight: Sequence[Dispatch]) -> Dispatch:
    """The task with the fewest rollouts for its share; tasks that need help get a larger one."""
    flying = Counter(each.assignment.task for each in inflight if each.assignment.purpose == "rollout")
    task = min(recipe.tasks, key=lambda name: (ledger.rollouts[name] + flying[name]) / _share(ledger, name))
    seed = _next_seed(recipe, ledger, "rollout", ROLLOUT_SEEDS)
    tables = ("online", "corrections") if recipe.training.mixture.corrections > 0 else ("online",)
    return Dispatch(Assignment(purpose="rollout", task=task, seed=seed, policy_version=0, tables=tables))


def _share(ledger: Ledger, task: str) -> float:
    """Relative number of rollouts that a task gets, from how often it lately succeeded without help."""
    recent = ledger.recent.get(task)
    alone = fmean(attempt.success and attempt.alone for attempt in recent) if recent else 0.0
    return 1.0 + HARD_TASK_BONUS * (1.0 - alone)


def _evaluations(recipe: Recipe, ledger: Ledger, marks: Landmarks, inflight: Sequence[Dispatch]) -> Iterator[Dispatch]:
    flying = {
        (each.label, each.assignment.policy_version, each.assignment.task, each.assignment.seed) for each in inflight
    }
    for each in wanted(recipe, ledger, marks):
        for task, seed in _missing(recipe, each, ledger.tried.get((each.label, each.version), {})):
            if (each.label, each.version, task, seed) not in flying:
                assignment = Assignment(purpose="eval", task=task, seed=seed, policy_version=each.version, tables=())
                yield Dispatch(assignment, each.label)


def _missing(recipe: Recipe, each: Wanted, tried: Mapping[tuple[str, int], object]) -> list[tuple[str, int]]:
    """(task, seed) without a result, tasks interleaved so that a part of an evaluation is a fair picture."""
    first = recipe.evaluation.first_seed
    pairs = [(task, first + i) for i in range(each.episodes_per_task) for task in recipe.tasks]
    return [pair for pair in pairs if pair not in tried]


def _interim(recipe: Recipe, ledger: Ledger, marks: Landmarks) -> int:
    """The newest version that the rhythm chooses; older ones that were not finished are dropped."""
    every, newest = recipe.evaluation.interim_every, ledger.newest(Kind.POLICY)
    if not recipe.evaluation.interim_episodes_per_task or newest <= marks.stage2:
        return 0
    return newest - (newest - marks.stage2) % every if newest - marks.stage2 >= every else 0


def _is_evaluations_turn(recipe: Recipe, ledger: Ledger, inflight: Sequence[Dispatch]) -> bool:
    """Only once the learner can sample what was collected; then turn and turn about."""
    if ledger.rollout_frames < recipe.sampling.min_items:
        return False
    evaluations = sum(1 for each in inflight if each.label)
    return 2 * evaluations <= len(inflight)


def _next_seed(recipe: Recipe, ledger: Ledger, purpose: str, offset: int) -> int:
    """One that was never used: above all that are known, below those of the evaluation. Blocks are used again where
    `seed` is larger than there are blocks. Raises Invalid where there is none left."""
    end = recipe.evaluation.first_seed
    first = recipe.seed % (end // SEED_BLOCK) * SEED_BLOCK + offset
    seed = max(first, ledger.top_seed.get(purpose, -1) + 1)
    if seed >= end:
        raise Invalid("evaluation.first_seed", end, f"a run with seed={recipe.seed} has used up the seeds below it")
    return seed
