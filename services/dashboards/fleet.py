"""Is it learning? One row for across the room, then from symptom to cause."""

from __future__ import annotations

from services.common import metrics as m
from services.dashboards import alerts, figures
from services.dashboards.board import Board
from services.dashboards.panels import by, number, panel
from services.dashboards.queries import now, per_second

_HEALTH = (
    number(
        "Replay down",
        "Replay servers that do not answer; 0 is well.",
        "short",
        figures.down(),
        alert=alerts.REPLAY_DOWN,
    ),
    number(
        "Experience",
        "Steps a second that replay receives from all robots and simulators. 0 is right while only the learner "
        "works; in the joint stage it means that nothing comes in.",
        "ops",
        per_second(m.REPLAY_APPENDED_STEPS),
    ),
    number(
        "Success",
        "Share of rollouts that succeeded, with whatever help they had. Look at it by task below.",
        "percentunit",
        figures.success(),
        seldom=True,
    ),
    number(
        "Interventions",
        "Share of rollouts' steps at which a person acted. It falls while the policy learns.",
        "percentunit",
        figures.interventions(),
        seldom=True,
    ),
    number(
        "Learner waits",
        "Share of the learners' time without data. High: look at Learner and Replay who holds whom back.",
        "percentunit",
        figures.waiting(),
        alert=alerts.LEARNER_STARVED,
    ),
    number(
        "Experience to weights",
        f"Within this time {figures.RELEASE_SHARE:.0%} of new episodes are in a published policy: the service level.",
        "s",
        figures.release_time(figures.RELEASE_SHARE),
        seldom=True,
    ),
)
_LEARNING = (
    panel(
        "Success on rollouts, by task",
        "Share of rollouts that succeeded. A fall right after a promotion is the new policy: roll back.",
        "percentunit",
        by("{{release}} {{task}}", figures.success("task")),
        seldom=True,
    ),
    panel(
        "Success in evaluations",
        "Share of the last complete evaluation on held-out starts, without help: stage2, interim or final.",
        "percentunit",
        by("{{release}} {{task}} {{what}}", now(m.CONDUCTOR_SUCCESS, "task", "what", how="max")),
    ),
    panel(
        "Interventions, by task",
        "Share of steps at which a person acted.",
        "percentunit",
        by("{{release}} {{task}}", figures.interventions("task")),
        seldom=True,
    ),
    panel(
        "Experience, by source",
        "Steps a second that replay receives. Demonstrations come first, then policy and human.",
        "ops",
        by("{{release}} {{source}}", figures.experience()),
        stacked=True,
    ),
    panel(
        "Updates",
        "Updates a second that learners apply, by model.",
        "ops",
        by("{{release}} {{what}}", per_second(m.LEARNER_UPDATES, "what")),
    ),
    panel(
        "Published versions",
        "Last published policy and world model. Flat in the joint stage: look at Learner.",
        "short",
        by("{{release}} {{kind}}", now(m.LEARNER_VERSION, "kind", how="max")),
    ),
)
_FRESHNESS = (
    panel(
        "Experience to weights",
        "From the end of an episode to the first published policy that was trained with it, of half the episodes "
        "and of most: spooling, labelling, sampling, and the publishing rhythm (training.publish_every).",
        "s",
        by("{{release}} half", figures.release_time(0.5)),
        by("{{release}} most", figures.release_time(figures.RELEASE_SHARE)),
        seldom=True,
    ),
    panel(
        "Staleness",
        "Published policies between the one that acted and the newest, mean of what learners train with.",
        "short",
        figures.staleness(),
    ),
    panel(
        "Robots behind",
        "Published policies since the one that a robot acted by in its last append: the 32 that are furthest behind.",
        "short",
        by("{{release}} {{robot}}", figures.behind()),
        alert=alerts.STALE,
    ),
)
_STANDING = (
    panel(
        "Time since a stage got on",
        "Each part at work has a clock; one that stands still is found by it. Parts with nothing to do have none.",
        "s",
        by("{{release}} {{stage}}", figures.stalled()),
        alert=alerts.STALLED,
    ),
    panel(
        "Silent robots",
        "Seconds since a robot's last append: the 32 that have been silent longest, of those heard within a day.",
        "s",
        by("{{release}} {{robot}}", figures.silence("robot")),
        alert=alerts.ROBOT_SILENT,
    ),
    panel(
        "Restarts and lost work",
        "Processes started again by role, and assignments that died with their actor, a second.",
        "ops",
        by("{{release}} {{role}} restarted", per_second(m.CONDUCTOR_RESTARTS, "role")),
        by("{{release}} {{purpose}} lost", per_second(m.CONDUCTOR_LOST, "purpose")),
        seldom=True,
    ),
    panel(
        "Progress of the stage",
        "How much of the run's present stage is done.",
        "percentunit",
        by("{{release}} {{stage}}", now(m.CONDUCTOR_STAGE, "stage", how="max")),
    ),
    panel(
        "Memory, by role",
        "Of the run's processes on the conductor's machine, shared pages counted once.",
        "bytes",
        by("{{release}} {{role}}", now(m.CONDUCTOR_MEMORY, "role")),
        stacked=True,
    ),
    panel(
        "Certificates",
        "Seconds until a server's certificate or the CA of its clients expires. Rotate before it is red.",
        "s",
        by("{{release}} {{component}} {{what}}", figures.certificate_left()),
        alert=alerts.CERTIFICATE,
    ),
)

FLEET = Board(
    name="fleet",
    title="Fleet",
    says="Is it learning? Is experience flowing, is it good, are learners fed, does the policy improve?",
    rows=(("Now", _HEALTH), ("Learning", _LEARNING), ("Freshness", _FRESHNESS), ("Standing still", _STANDING)),
)
