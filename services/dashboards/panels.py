"""A panel as a value, and as Grafana's official builders make it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import common, heatmap, prometheus, stat, timeseries
from grafana_foundation_sdk.builders.dashboard import DashboardLink, ThresholdsConfig
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphThresholdsStyleMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from services.common.metrics import definitions
from services.dashboards.alerts import Alert

DATASOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
GREEN, RED, NEUTRAL = "green", "red", "text"
Built = timeseries.Panel | stat.Panel | heatmap.Panel


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """One expression; each of its series is named by `legend`."""

    expression: str
    legend: str = "{{release}}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """`says` is what it means and what to do; the metrics' names are put behind it. With an `alert` its bound is drawn
    and its runbook linked."""

    title: str
    says: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"  # or stat, heatmap
    alert: Alert | None = None
    stacked: bool = False
    width: int = 8  # of 24
    height: int = 8
    empty: str = ""  # what is shown where there are no data
    seldom: bool = False  # what it counts happens a few times a minute: rates are over five at least


def panel(title: str, says: str, unit: str, *queries: str | Query, **more: object) -> Panel:
    """A time series; a query without a legend is named by its run."""
    asked = tuple(each if isinstance(each, Query) else Query(expression=each) for each in queries)
    return Panel(title=title, says=says, unit=unit, queries=asked, **more)  # type: ignore[arg-type]


def number(title: str, says: str, unit: str, query: str, **more: object) -> Panel:
    """A number in the first row, readable from across a room."""
    shown = {"kind": "stat", "width": 4, "height": 4, "empty": "no data", **more}
    return panel(title, says, unit, query, **shown)


def by(legend: str, expression: str) -> Query:
    """A query whose series are told apart by labels, as `{{source}}`."""
    return Query(expression=expression, legend=legend)


def metrics_of(expressions: Sequence[str]) -> list[str]:
    """Names of the metrics that they are about, as services/common/metrics.py has them."""
    words = {word for each in expressions for word in re.findall(r"\bramp_\w+", each)}
    plain = {re.sub(r"_(bucket|sum|count)$", "", word) for word in words}
    return [known.name for known in definitions() if known.name in plain]


def description(of: Panel) -> str:
    names = metrics_of([query.expression for query in of.queries])
    told = f"{of.says} Metrics: {', '.join(f'`{name}`' for name in names)}." if names else of.says
    return f"{told} Alert: {of.alert.name}." if of.alert else told


def built(of: Panel) -> Built:
    """As Grafana wants it."""
    made = _KINDS[of.kind]()
    made.title(of.title).description(description(of)).unit(of.unit).datasource(DATASOURCE)
    made.span(of.width).height(of.height).thresholds(_thresholds(of.alert))
    for number, query in enumerate(of.queries):
        made.with_target(_target(query, "ABCDEFGH"[number], of.kind))
    if of.empty:
        made.no_value(of.empty)
    if of.seldom:
        made.interval("5m")
    if of.alert:
        made.links([_runbook(of.alert)])
        if isinstance(made, timeseries.Panel):
            made.thresholds_style(common.GraphThresholdsStyleConfig().mode(GraphThresholdsStyleMode.DASHED))
    if of.stacked and isinstance(made, timeseries.Panel):
        made.stacking(common.StackingConfig().mode(StackingMode.NORMAL)).fill_opacity(30)
    return made


def _timeseries() -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    tooltip = common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    made = timeseries.Panel().legend(legend.show_legend(True).calcs(["lastNotNull"])).tooltip(tooltip)
    return made.show_points(VisibilityMode.NEVER).fill_opacity(8).line_width(1)


def _stat() -> stat.Panel:
    reduced = common.ReduceDataOptions().calcs(["lastNotNull"])
    made = stat.Panel().reduce_options(reduced).graph_mode(BigValueGraphMode.AREA)
    return made.color_mode(BigValueColorMode.VALUE)


_KINDS: dict[str, Callable[[], Built]] = {"timeseries": _timeseries, "stat": _stat, "heatmap": heatmap.Panel}


def _target(query: Query, ref: str, kind: str) -> prometheus.Dataquery:
    target = prometheus.Dataquery().expr(query.expression).ref_id(ref).legend_format(query.legend).range()
    if kind == "heatmap":
        target.format(PromQueryFormat.HEATMAP).legend_format("{{le}}")
    return target


def _thresholds(alert: Alert | None) -> ThresholdsConfig:
    steps = [Threshold(value=None, color=NEUTRAL)]  # from minus infinity
    if alert:
        low, high = (GREEN, RED) if alert.above else (RED, GREEN)
        steps = [Threshold(value=None, color=low), Threshold(value=alert.bound, color=high)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def _runbook(alert: Alert) -> DashboardLink:
    link = DashboardLink(f"Runbook: {alert.name}").type(DashboardLinkType.LINK).url("${runbooks}/" + f"{alert.name}.md")
    return link.include_vars(True).keep_time(True).target_blank(True)
