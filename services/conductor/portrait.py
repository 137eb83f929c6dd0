"""Draws the RunView: from the ledger what has happened, from the parts what they do now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ramp.evaluation.success import wilson
from ramp.recipes.recipe import Recipe
from ramp.types import EpisodeSummary, Kind, Outcome
from services.conductor import forecast, schedule
from services.conductor.crew import Member
from services.conductor.journal import Learner
from services.conductor.ledger import Ledger, by_task
from services.conductor.processes import Child
from services.conductor.schedule import Landmarks
from services.conductor.view import ActorView, LearnerView, ProcessView, RunView, Score, ShardView, TableView, TaskView

SLOW_SHARE = 0.1  # of its time, waiting; above it the view says so


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that is there to be drawn."""

    recipe_name: str
    run_dir: str
    recipe: Recipe
    ledger: Ledger
    marks: Landmarks
    seconds: float
    learner: Learner | None
    learner_state: str
    learner_restarts: int
    members: Sequence[Member]
    children: Sequence[Child]
    replay: Any  # ReplayInfo or None
    replay_up: bool
    shards: Mapping[str, Any]  # ReplayInfo or None by name; empty where there is one server
    redis_up: bool
    memory: Mapping[str, int]
    episodes_per_s: float  # of all actors together, where nothing holds them up
    messages: tuple[str, ...]


def draw(scene: Scene) -> RunView:
    """The view of one moment."""
    ledger, recipe = scene.ledger, scene.recipe
    members = list(scene.members)
    return RunView(
        recipe=scene.recipe_name,
        run_dir=scene.run_dir,
        stage=ledger.stage,
        activity=schedule.activity(recipe, ledger, scene.marks),
        seconds=scene.seconds,
        left_s=forecast.left_s(recipe, ledger, scene.marks, scene.learner, scene.episodes_per_s),
        progress=forecast.progress(recipe, ledger, scene.learner),
        policy_version=ledger.newest(Kind.POLICY),
        world_version=ledger.newest(Kind.WORLD),
        annotation_version=scene.replay.annotation_version if scene.replay else 0,
        tasks=tuple(_task(scene, task) for task in recipe.tasks),
        tables=tuple(_table(table) for table in scene.replay.tables if table.inserted_items) if scene.replay else (),
        actors=tuple(_actor(member) for member in members),
        actor_steps_per_s=sum(member.steps_per_s() for member in members),
        learner=_learner(scene.learner),
        waits=tuple(_waits(scene)),
        processes=(*(_child(child, scene.memory) for child in scene.children), _group(scene)),
        memory_bytes=sum(scene.memory.values()),
        peak_bytes=max(ledger.peak_bytes, sum(scene.memory.values())),
        redis_up=scene.redis_up,
        replay_up=scene.replay_up,
        shards=tuple(_shard(name, info) for name, info in scene.shards.items()),
        messages=scene.messages,
    )


def score(episodes: Iterable[EpisodeSummary]) -> Score | None:
    """Successes with their interval; None without episodes."""
    return _score([episode.outcome is Outcome.SUCCESS for episode in episodes])


def _score(successes: Sequence[bool]) -> Score | None:
    if not successes:
        return None
    low, high = wilson(sum(successes), len(successes))
    return Score(successes=sum(successes), trials=len(successes), low=low, high=high)


def _task(scene: Scene, task: str) -> TaskView:
    ledger, recent = scene.ledger, scene.ledger.recent.get(task, ())
    return TaskView(
        task=task,
        demos=ledger.demos[task],
        demos_wanted=scene.recipe.demos.episodes_per_task,
        rollouts=ledger.rollouts[task],
        recent=_score([attempt.success for attempt in recent]),
        human_share=fmean(attempt.human_share for attempt in recent) if recent else 0.0,
        stage2=_evaluation(scene, "stage2", task),
        interim=_evaluation(scene, "interim", task),
        final=_evaluation(scene, "final", task),
        policy_age=fmean(attempt.age for attempt in recent) if recent else 0.0,
    )


def _evaluation(scene: Scene, label: str, task: str) -> Score | None:
    """Of the newest version that has this label."""
    versions = [version for name, version in scene.ledger.tried if name == label]
    if not versions:
        return None
    tried = scene.ledger.tried[label, max(versions)]
    return score(by_task(tried, [task])[task])


def _table(table: Any) -> TableView:
    return TableView(
        name=table.name,
        episodes=table.episodes,
        items=table.items,
        inserted=table.inserted_items,
        sampled=table.sampled_items,
        labelled=table.labelled,
        lead=table.lead,
    )


def _shard(name: str, info: Any) -> ShardView:
    if info is None:
        return ShardView(name=name, up=False, episodes=0, items=0, disk_bytes=0, annotation_version=0)
    return ShardView(
        name=name,
        up=True,
        episodes=sum(table.episodes for table in info.tables),
        items=sum(table.items for table in info.tables),
        disk_bytes=info.disk_bytes,
        annotation_version=info.annotation_version,
    )


def _actor(member: Member) -> ActorView:
    return ActorView(
        name=member.name,
        doing=member.doing,
        episodes=member.episodes,
        steps_per_s=member.steps_per_s(),
        restarts=member.restarts,
    )


def _learner(said: Learner | None) -> LearnerView | None:
    if said is None:
        return None
    return LearnerView(
        stage=said.stage,
        update=said.update,
        total=said.total,
        updates_per_s=said.updates_per_s,
        wait_share=said.wait_share,
        losses=said.losses,
    )


def _child(child: Child, memory: Mapping[str, int]) -> ProcessView:
    name = child.command.name
    return ProcessView(
        name=name, state=child.state, pid=child.pid, restarts=child.restarts, memory_bytes=memory.get(name, 0)
    )


def _group(scene: Scene) -> ProcessView:
    return ProcessView(
        name="learner",
        state=scene.learner_state,
        pid=0,
        restarts=scene.learner_restarts,
        memory_bytes=scene.memory.get("learner", 0),
    )


def _waits(scene: Scene) -> Iterable[str]:
    """What waits for what, in words."""
    if not scene.replay_up:
        yield "actors and learner wait for the replay service"
    elif away := [name for name, info in scene.shards.items() if info is None]:
        yield f"the episodes of {', '.join(away)} wait in their producers' spools"
    if scene.ledger.unconfirmed:
        yield f"{len(scene.ledger.unconfirmed)} episodes wait in their actors' spools for the replay service"
    if scene.ledger.stage == "demos":
        yield "the learner waits for demonstrations"
    elif not scene.marks.stage2:
        yield "actors wait for the Stage-2 policy"
    elif not scene.marks.final and any(member.doing == "idle" for member in scene.members):
        yield "actors wait for the learner to use what they collected"
    said = scene.learner
    if said is not None and said.stage == scene.ledger.stage and said.wait_share > SLOW_SHARE:
        yield f"the learner waits for data {100 * said.wait_share:.0f} % of its time"
    if scene.learner_state == "down":
        yield "training waits for the learner to start again"
