"""What all dashboards have in common: variables, annotations, links, rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    ConstantVariable,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
)
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from services.common import metrics as m
from services.dashboards.panels import DATASOURCE, Panel, built
from services.dashboards.queries import grown, now, scraped

SCHEMA_VERSION = 41
TAG = "ramp"
RUNBOOKS = "https://ramp-fleet.example/docs/runbooks"  # of the variable that whoever installs it may change
ALL = VariableOption(selected=True, text="All", value="$__all")


@dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """A dashboard: rows from symptom to cause."""

    name: str  # of its file and, behind "ramp-", of its uid: it stays the same for ever
    title: str
    says: str  # the question that it answers
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    @property
    def uid(self) -> str:
        return f"ramp-{self.name}"

    @property
    def panels(self) -> tuple[Panel, ...]:
        return tuple(panel for _, row in self.rows for panel in row)


def dashboard_file(board: Board, others: Sequence[Board]) -> str:
    """JSON that Grafana provisions; `others` are linked."""
    made = Dashboard(f"RAMP / {board.title}").uid(board.uid).description(board.says).tags([TAG, board.name])
    made.time("now-1h", "now").refresh("30s").timezone("browser").editable().tooltip(DashboardCursorSync.CROSSHAIR)
    made.variables(_variables()).annotations(_annotations()).links(_links(board, others))
    for title, panels in board.rows:
        made.with_row(Row(title))
        for panel in panels:
            made.with_panel(built(panel))
    found = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    found |= {"id": None, "schemaVersion": SCHEMA_VERSION}
    for number, panel in enumerate(found["panels"], 1):
        panel["id"] = number
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _variables() -> list[Builder[models.VariableModel]]:
    namespace = 'namespace=~"$namespace"'
    run = f'{namespace},release=~"$release"'
    name = {metric: m.definition(metric).name for metric in (m.ACTOR_EPISODES, m.REPLAY_DISK)}
    runbooks = ConstantVariable("runbooks").label("Runbooks").value(RUNBOOKS)
    return [
        DatasourceVariable("datasource").label("Data source").type("prometheus"),
        _query("namespace", "Namespace", 'label_values(up{release!=""}, namespace)'),
        _query("release", "Release", f'label_values(up{{{namespace},release!=""}}, release)'),
        _query("task", "Task", f"label_values({name[m.ACTOR_EPISODES]}{{{run}}}, task)"),
        _query("shard", "Shard", f"label_values({name[m.REPLAY_DISK]}{{{run}}}, shard)"),
        runbooks,
    ]


def _query(name: str, label: str, query: str) -> QueryVariable:
    made = QueryVariable(name).label(label).query(query).datasource(DATASOURCE)
    made.multi(True).include_all(True).all_value(".*").current(ALL)
    return made.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)


def _annotations() -> list[Builder[models.AnnotationQuery]]:
    firing = scraped("ALERTS", alertstate="firing", alertname="Ramp.*")
    return [
        _annotation("Promotions", "green", f"{grown(m.REGISTRY_PROMOTIONS, 'alias', what='promote')} > 0"),
        _annotation("Rollbacks", "red", f"{grown(m.REGISTRY_PROMOTIONS, 'alias', what='rollback')} > 0"),
        _annotation("Policies published", "blue", _changes()),
        _annotation("Restarts", "orange", f"{grown(m.CONDUCTOR_RESTARTS, 'role')} > 0"),
        _annotation("Alerts", "dark-red", firing),
    ]


def _changes() -> str:
    newest = now(m.LEARNER_VERSION, how="max", kind="policy")
    return f"{newest} > {now(m.LEARNER_VERSION, how='max', kind='policy', offset='1m')}"


def _annotation(name: str, color: str, expression: str) -> AnnotationQuery:
    return AnnotationQuery().name(name).datasource(DATASOURCE).enable(True).icon_color(color).expr(expression)


def _links(board: Board, others: Sequence[Board]) -> list[Builder[models.DashboardLink]]:
    return [
        DashboardLink(other.title)
        .type(DashboardLinkType.LINK)
        .url(f"/d/{other.uid}")
        .tooltip(other.says)
        .include_vars(True)
        .keep_time(True)
        for other in others
        if other.uid != board.uid
    ]
