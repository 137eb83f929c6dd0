"""Which versions are where, since when, and was it right to promote them?"""

from __future__ import annotations

from services.common import metrics as m
from services.dashboards import alerts, figures
from services.dashboards.board import Board
from services.dashboards.panels import by, number, panel
from services.dashboards.queries import grown, now, seconds_since

_NOW = (
    number(
        "Stable", "Policy that robots act by.", "short", now(m.REGISTRY_ALIAS, how="max", kind="policy", alias="stable")
    ),
    number("Latest", "Newest policy.", "short", now(m.REGISTRY_ALIAS, how="max", kind="policy", alias="latest")),
    number("Since", "The alias stable was moved last.", "s", figures.promoted_for(), empty="never"),
    number(
        "Rollbacks",
        "In the last minutes. Every one has a reason in the registry's history: ramp release.",
        "short",
        grown(m.REGISTRY_PROMOTIONS, what="rollback"),
        empty="none",
        seldom=True,
    ),
    number(
        "Success",
        "Share of rollouts, by what acts now.",
        "percentunit",
        figures.success(),
        seldom=True,
    ),
    number(
        "Experience to weights",
        "Nine of ten new episodes are in a published policy within.",
        "s",
        figures.release_time(figures.RELEASE_SHARE),
        seldom=True,
    ),
)
_VERSIONS = (
    panel(
        "Versions by alias",
        "What each alias stands for. stable far below latest: candidates do not pass, or nobody promotes.",
        "short",
        by("{{release}} {{kind}} {{alias}}", now(m.REGISTRY_ALIAS, "kind", "alias", how="max")),
        width=12,
    ),
    panel(
        "Promotions and rollbacks",
        "Moves of an alias.",
        "short",
        by("{{release}} {{alias}} {{what}}", grown(m.REGISTRY_PROMOTIONS, "alias", "what")),
        seldom=True,
        width=12,
    ),
    panel(
        "Time since the last move",
        "Of each alias.",
        "s",
        by("{{release}} {{alias}}", seconds_since(now(m.REGISTRY_PROMOTED, "alias", how="max"))),
        width=12,
    ),
    panel(
        "Published versions",
        "By the learner.",
        "short",
        by("{{release}} {{kind}}", now(m.LEARNER_VERSION, "kind", how="max")),
        width=12,
    ),
)
_JUDGEMENT = (
    panel(
        "Success in evaluations",
        "On held-out starts, without help.",
        "percentunit",
        by("{{release}} {{task}} {{what}}", now(m.CONDUCTOR_SUCCESS, "task", "what", how="max")),
    ),
    panel(
        "Success on rollouts below that of six hours ago",
        "Above the line after a promotion: roll back.",
        "percentunit",
        f"{figures.success(offset='6h')} - {figures.success()}",
        alert=alerts.SUCCESS_FALL,
        seldom=True,
    ),
    panel(
        "Interventions",
        "Share of steps. The alert compares the last half hour with the last day.",
        "percentunit",
        by("{{release}} {{task}}", figures.interventions("task")),
        seldom=True,
    ),
)

RELEASE = Board(
    name="release",
    title="Release",
    says="Which versions are where, since when, and was it right to promote them?",
    rows=(("Now", _NOW), ("Versions", _VERSIONS), ("Judgement", _JUDGEMENT)),
)
