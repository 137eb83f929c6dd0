"""Everything one actor keeps between episodes: open environments, loaded agents, the way to replay."""

from __future__ import annotations

from collections import OrderedDict

from ramp.envs import make_env, make_expert
from ramp.interfaces import Env, Registry, Replay
from ramp.recipes.recipe import Recipe
from ramp.types import Encoding, EpisodeSummary, Source
from services.actor.agents import Agents
from services.actor.assignment import Assignment
from services.actor.camera import Stopwatch
from services.actor.drivers import Demonstrator, Driver, Pilot
from services.actor.intervention import Takeover
from services.actor.loop import Road, collect, seed_of
from services.common import metrics

ENVS_KEPT = 8  # building one takes a good part of a second; each holds a scene and a renderer


class Collector:
    """Turns assignments into episodes. The same in a Ray actor, in a test and in a plain script."""

    def __init__(
        self, recipe: Recipe, registry: Registry, replay: Replay, *, robot: str, batch_steps: int = 50
    ) -> None:
        self._recipe, self._replay = recipe, replay
        self._robot, self._batch_steps = robot, batch_steps
        self._agents = Agents(registry)
        self._envs: OrderedDict[str, Env] = OrderedDict()

    def run(self, assignment: Assignment) -> EpisodeSummary:
        """Collect one episode; weights change only here, between episodes. Raises NotFound, Invalid, Unavailable."""
        metrics.progress("actor", assignment.purpose)
        try:
            return self._collect(assignment, Stopwatch())
        finally:
            metrics.idle("actor")

    def _collect(self, assignment: Assignment, watch: Stopwatch) -> EpisodeSummary:
        with watch("setup"):
            env = self._env(assignment.task)
            driver = self._driver(assignment, env, watch)
        road = Road(
            replay=self._replay if assignment.tables else None,
            robot=self._robot,
            frame_stride=self._recipe.env.frame_stride,
            batch_steps=self._batch_steps,
            encoding=Encoding(self._recipe.env.image_encoding),
            jpeg_quality=self._recipe.env.jpeg_quality,
            boundaries=self._recipe.boundaries,
        )
        summary = collect(env, driver, assignment, road, watch)
        count(summary)
        return summary

    def close(self) -> None:
        """Close every environment."""
        while self._envs:
            self._envs.popitem()[1].close()

    def _env(self, task: str) -> Env:
        if task not in self._envs:
            self._envs[task] = make_env(task, self._recipe.env)
        self._envs.move_to_end(task)
        if len(self._envs) > ENVS_KEPT:
            self._envs.popitem(last=False)[1].close()
        return self._envs[task]

    def _driver(self, assignment: Assignment, env: Env, watch: Stopwatch) -> Driver:
        seed = seed_of(self._recipe.seed, assignment)
        if assignment.purpose == "demo":
            return Demonstrator(env, make_expert(env), watch, config=self._recipe.demos, seed=seed)
        agent = self._agents.get(
            assignment.policy_version,
            env.schema,
            efficient=assignment.efficient,
            indicator=assignment.indicator,
        )
        if assignment.purpose == "eval" or self._recipe.takeover.max_takeovers == 0:
            return Pilot(env, agent, watch, seed=seed, aloud=assignment.aloud)
        return Pilot(env, agent, watch, seed=seed, person=make_expert(env), rule=Takeover(self._recipe.takeover))


def count(summary: EpisodeSummary) -> None:
    """Add an episode to this process's metrics."""
    metrics.ACTOR_EPISODES.labels(summary.task, summary.purpose, summary.outcome.value).inc()
    acted = Source.DEMO if summary.purpose == "demo" else Source.POLICY
    metrics.ACTOR_STEPS.labels(summary.task, acted.name.lower()).inc(summary.steps - summary.human_steps)
    metrics.ACTOR_STEPS.labels(summary.task, Source.HUMAN.name.lower()).inc(summary.human_steps)
    metrics.ACTOR_FRAMES.labels(summary.task).inc(summary.frames)
    metrics.ACTOR_TAKEOVERS.labels(summary.task).inc(summary.interventions)
    spent = {
        "sim": summary.sim_seconds,
        "render": summary.render_seconds,
        "inference": summary.inference_seconds,
        "replay": summary.replay_seconds,
        **{name[:-8]: seconds for name, seconds in summary.extra.items() if name.endswith("_seconds")},
    }
    for what, seconds in spent.items():
        metrics.add_seconds(metrics.ACTOR_SECONDS.labels(what), seconds)
