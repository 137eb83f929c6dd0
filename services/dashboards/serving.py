"""Do robots get their actions in time?"""

from __future__ import annotations

from services.common import metrics as m
from services.dashboards.board import Board
from services.dashboards.panels import Panel, by, number, panel
from services.dashboards.queries import now, per_second, quantile, share

_BROKEN = ".*[^K]"  # every status but OK

_NOW = (
    number("Requests", "For actions, a second.", "reqps", per_second(m.POLICY_REQUESTS)),
    number(
        "Not answered",
        "Share of requests that ended otherwise than OK.",
        "percentunit",
        share(per_second(m.POLICY_REQUESTS, code=_BROKEN), per_second(m.POLICY_REQUESTS)),
    ),
    number("Latency", "99 of 100 requests are answered within.", "s", quantile(0.99, m.POLICY_REQUEST_SECONDS)),
    number("Queue", "Requests that wait; the server is scaled by it.", "short", now(m.POLICY_QUEUE)),
    number("Policy", "Version that new episodes begin with.", "short", now(m.POLICY_VERSION, how="max")),
    number(
        "Refused",
        "Published weights that servers refused, a second.",
        "ops",
        per_second(m.POLICY_REFUSED),
        empty="none",
    ),
)
_REQUESTS = (
    panel("Requests, by code", "A second.", "reqps", by("{{release}} {{code}}", per_second(m.POLICY_REQUESTS, "code"))),
    panel(
        "Latency",
        "From a request's arrival to its answer. Rising with the queue: more servers; without it: a larger "
        "model or a slower machine.",
        "s",
        by("{{release}} p50", quantile(0.5, m.POLICY_REQUEST_SECONDS)),
        by("{{release}} p99", quantile(0.99, m.POLICY_REQUEST_SECONDS)),
    ),
    Panel(
        title="Requests by latency",
        says="Two bands: some wait for another batch.",
        unit="s",
        queries=(by("{{le}}", per_second(m.POLICY_REQUEST_SECONDS, "le", suffix="_bucket")),),
        kind="heatmap",
    ),
    panel("Queue", "Requests that wait, by server.", "short", by("{{release}} {{pod}}", now(m.POLICY_QUEUE, "pod"))),
    panel(
        "Batch",
        "Requests that one run of the model answers, half and nearly all.",
        "short",
        by("{{release}} p50", quantile(0.5, m.POLICY_BATCH)),
        by("{{release}} p99", quantile(0.99, m.POLICY_BATCH)),
    ),
    panel(
        "One run of the model",
        "Seconds, nearly all of them within.",
        "s",
        by("{{release}} p99", quantile(0.99, m.POLICY_INFER_SECONDS)),
    ),
    panel(
        "Version served",
        "By server. Different ones for long: a server does not take the new one.",
        "short",
        by("{{release}} {{pod}}", now(m.POLICY_VERSION, "pod", how="max")),
    ),
    panel(
        "Weights refused",
        "A second, by status.",
        "ops",
        by("{{release}} {{code}}", per_second(m.POLICY_REFUSED, "code")),
        seldom=True,
    ),
    panel(
        "Calls in flight",
        "At the policy servers' gRPC door.",
        "short",
        by("{{release}} {{pod}}", now(m.GRPC_INFLIGHT, "pod", component="policy")),
    ),
)

SERVING = Board(
    name="serving",
    title="Serving",
    says="Do robots get their actions in time, and by which policy?",
    rows=(("Now", _NOW), ("Requests", _REQUESTS)),
)
