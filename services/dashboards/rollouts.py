"""How do robots and simulators do, and can the world model be believed?"""

from __future__ import annotations

from services.common import metrics as m
from services.dashboards import alerts, figures
from services.dashboards.board import Board
from services.dashboards.panels import by, number, panel
from services.dashboards.queries import grown, now, per_second, ratio

_NOW = (
    number(
        "Episodes", "Collected a minute, all purposes.", "short", f"60 * {per_second(m.ACTOR_EPISODES)}", seldom=True
    ),
    number("Steps", "Executed a second.", "ops", per_second(m.ACTOR_STEPS)),
    number("Success", "Share of rollouts.", "percentunit", figures.success(), seldom=True),
    number("Takeovers", "Times that a person took over, a rollout.", "short", figures.takeovers(), seldom=True),
    number(
        "Value error",
        "Distance of predicted and true remaining time, in shares of the time limit.",
        "percentunit",
        figures.value_error(),
        alert=alerts.VALUE_DRIFT,
        seldom=True,
    ),
    number("Robots", "That have appended within a day.", "short", now(m.REPLAY_ROBOTS)),
)
_ROLLOUTS = (
    panel(
        "Steps, by who acted",
        "A second, by source.",
        "ops",
        by("{{release}} {{source}}", per_second(m.ACTOR_STEPS, "source")),
        stacked=True,
    ),
    panel(
        "Success, by task",
        "Share of rollouts, beside that of the same time six hours ago. The alert compares the two after a promotion.",
        "percentunit",
        by("{{release}} {{task}}", figures.success("task")),
        by("{{release}} {{task}} 6 h ago", figures.success("task", offset="6h")),
        seldom=True,
    ),
    panel(
        "Takeovers, by task",
        "A rollout.",
        "short",
        by("{{release}} {{task}}", figures.takeovers("task")),
        seldom=True,
    ),
    panel(
        "Episodes, by purpose",
        "A second.",
        "ops",
        by("{{release}} {{purpose}} {{outcome}}", per_second(m.ACTOR_EPISODES, "purpose", "outcome")),
        seldom=True,
    ),
    panel(
        "Where actors' time goes",
        "Seconds of actors a second: physics, rendering, inference, replay, setup.",
        "s",
        by("{{release}} {{what}}", per_second(m.ACTOR_SECONDS, "what")),
        stacked=True,
    ),
    panel(
        "In flight",
        "Episodes that actors were asked for and have not sent.",
        "short",
        now(m.CONDUCTOR_INFLIGHT),
    ),
    panel(
        "Policy of the actors",
        "Version that acts, oldest and newest.",
        "short",
        by("{{release}} oldest", now(m.ACTOR_POLICY, how="min")),
        by("{{release}} newest", now(m.ACTOR_POLICY, how="max")),
    ),
    panel(
        "Weights refused",
        "Published weights that an actor refused, a second: damaged, or of another robot.",
        "ops",
        by("{{release}} {{kind}}", per_second(m.ACTOR_REFUSED, "kind")),
        seldom=True,
    ),
    panel(
        "Frames rendered",
        "A second, by task.",
        "ops",
        by("{{release}} {{task}}", per_second(m.ACTOR_FRAMES, "task")),
    ),
)
_WORLD = (
    panel(
        "Value error, by task",
        "Mean distance of predicted and true remaining time on episodes that came after the world model.",
        "percentunit",
        by("{{release}} {{task}}", figures.value_error("task")),
        alert=alerts.VALUE_DRIFT,
        seldom=True,
    ),
    panel(
        "Value, predicted over true",
        "1: right on average. Above: it expects episodes to take longer than they do.",
        "short",
        by(
            "{{release}} {{task}}", ratio(grown(m.LEARNER_VALUE_PREDICTED, "task"), grown(m.LEARNER_VALUE_TRUE, "task"))
        ),
        seldom=True,
    ),
    panel(
        "Imagined against real",
        "Squared error of imagined latents on episodes that came after the world model, relative to imagining "
        "that nothing changes, by steps ahead. At 1 imagination is worth nothing.",
        "short",
        by("{{release}} +{{horizon}}", figures.imagined_error()),
        seldom=True,
    ),
)

ROLLOUTS = Board(
    name="rollouts",
    title="Rollouts and world model",
    says="How do robots and simulators do, who helps them, and can the world model be believed?",
    rows=(("Now", _NOW), ("Rollouts", _ROLLOUTS), ("World model", _WORLD)),
)
