"""Does replay take and give what it should, and what is it short of?"""

from __future__ import annotations

from services.common import metrics as m
from services.dashboards import alerts, figures
from services.dashboards.alerts import DISK_HOURS
from services.dashboards.board import Board
from services.dashboards.panels import Query, by, number, panel
from services.dashboards.queries import now, per_second, quantile, ratio

_NOW = (
    number("Down", "Replay servers that do not answer.", "short", figures.down(), alert=alerts.REPLAY_DOWN),
    number("Appended", "Bytes of steps a second.", "Bps", per_second(m.REPLAY_APPENDED_BYTES)),
    number("Sampled", "Bytes of batches a second.", "Bps", per_second(m.REPLAY_SAMPLED_BYTES)),
    number(
        "Failed calls",
        "Share of calls that the server could not answer. Refusals of what was asked (INVALID_ARGUMENT, "
        "PERMISSION_DENIED ...) are answers.",
        "percentunit",
        figures.failed_calls(),
    ),
    number("Items", "Steps with a frame that can be drawn, all tables.", "short", now(m.REPLAY_ITEMS)),
    number("Quarantined", "Places on disk whose bytes were not what had been written.", "short", now(m.REPLAY_DAMAGED)),
)


def _latency(metric: m.Metric, *labels: str) -> tuple[Query, ...]:
    legend = " ".join(f"{{{{{label}}}}}" for label in ("release", *labels))
    return tuple(by(f"{legend} p{share * 100:g}", quantile(share, metric, *labels)) for share in (0.5, 0.99))


_CALLS = (
    panel(
        "Calls",
        "Answered a second, by method; FlightSample and FlightAppend are the Flight door's.",
        "ops",
        by("{{release}} {{method}}", per_second(m.GRPC_CALLS, "method", component="replay")),
    ),
    panel(
        "Errors, by code",
        "Answers other than OK a second. RESOURCE_EXHAUSTED: disk full, quota used up, or all seats taken. "
        "CANCELLED is how streams end.",
        "ops",
        by(
            "{{release}} {{method}} {{code}}",
            per_second(m.GRPC_CALLS, "method", "code", code=".*[^K]", component="replay"),
        ),
    ),
    panel(
        "Duration of calls",
        "Of single calls; streams live as long as their peer and are left out.",
        "s",
        by(
            "{{release}} {{method}} p99",
            quantile(
                0.99, m.GRPC_SECONDS, "method", method="Info|Query|FlightSample|UpdatePriorities", component="replay"
            ),
        ),
    ),
    panel(
        "Seats taken",
        "Share of the calls that a door answers at the same time. At 1 the next one is refused: raise replay.calls.",
        "percentunit",
        by("{{release}} {{pod}} {{door}}", figures.seats()),
    ),
    panel("Appending", "Decoding, checking and writing one batch of steps.", "s", *_latency(m.REPLAY_APPEND_SECONDS)),
    panel("Making a batch", "Without the rate limiter's wait.", "s", *_latency(m.REPLAY_SAMPLE_SECONDS, "table")),
)
_DURABLE = (
    panel(
        "fsync",
        "Waiting for the fsync that several appends share. Slow: the volume is.",
        "s",
        *_latency(m.REPLAY_SYNC_SECONDS),
    ),
    panel(
        "Appends that wait for the fsync",
        "They share one; many for long: the volume does not keep up.",
        "short",
        by("{{release}} {{shard}}", now(m.REPLAY_UNSYNCED, "shard")),
    ),
    panel(
        "Refused appends",
        "A second, by status.",
        "ops",
        by("{{release}} {{code}}", per_second(m.REPLAY_REFUSED, "code")),
    ),
    panel(
        "Producers' spools",
        "Bytes that producers hold until replay acknowledges them: they grow while replay is away, and fall after.",
        "bytes",
        by("{{release}} {{pod}}", now(m.SPOOL_BYTES, "pod")),
    ),
    panel(
        "Episodes in spools",
        "Not acknowledged to their end.",
        "short",
        by("{{release}} {{pod}}", now(m.SPOOL_EPISODES, "pod")),
    ),
    panel(
        "Open episodes",
        "Begun and not ended. More than there are robots: producers die in the middle.",
        "short",
        by("{{release}} {{shard}}", now(m.REPLAY_OPEN, "shard")),
    ),
)
_LIMITS = (
    panel(
        "Samples per insert",
        "How often an item is drawn for one that comes in, beside what is allowed. Below: learners are slower.",
        "short",
        by("{{release}} {{table}}", figures.samples_per_insert()),
        by("{{release}} {{table}} allowed", now(m.REPLAY_ALLOWED, "table", how="max")),
        seldom=True,
    ),
    panel(
        "Lead of the rate limiter",
        "In shares of its slack: at 1 producers wait, at -1 learners.",
        "percentunit",
        by(
            "{{release}} {{shard}} {{table}}",
            ratio(now(m.REPLAY_LEAD, "table", "shard"), now(m.REPLAY_SLACK, "table", "shard")),
        ),
    ),
    panel(
        "Held back",
        "Seconds a second that either side waits for the rate limiter, all callers together.",
        "s",
        by("{{release}} {{table}} inserting", per_second(m.REPLAY_INSERT_WAIT, "table")),
        by("{{release}} {{table}} sampling", per_second(m.REPLAY_SAMPLE_WAIT, "table")),
    ),
    panel(
        "Items, by table",
        "Steps with a frame.",
        "short",
        by("{{release}} {{table}}", now(m.REPLAY_ITEMS, "table")),
    ),
    panel(
        "Labelled",
        "Share of a table's items that have an indicator. Low for long: relabelling does not get on.",
        "percentunit",
        by("{{release}} {{shard}} {{table}}", now(m.REPLAY_LABELLED, "table", "shard", how="min")),
    ),
    panel(
        "Episodes a second, by table",
        "That became visible.",
        "ops",
        by("{{release}} {{table}}", per_second(m.REPLAY_ENDED_EPISODES, "table")),
        seldom=True,
    ),
)
_DISK = (
    panel(
        "Free, and in a day",
        f"Bytes that the volume takes now, and in {DISK_HOURS} h if it fills as it did in the last one.",
        "bytes",
        by("{{release}} {{shard}}", now(m.REPLAY_DISK_FREE, "shard", how="min")),
        by("{{release}} {{shard}} predicted", figures.predicted_free(DISK_HOURS)),
        alert=alerts.DISK_FILLING,
    ),
    panel(
        "Used",
        "Share of the volume.",
        "percentunit",
        by(
            "{{release}} {{shard}}",
            f"1 - {ratio(now(m.REPLAY_DISK_FREE, 'shard'), now(m.REPLAY_DISK_CAPACITY, 'shard'))}",
        ),
    ),
    panel("Segments", "Bytes of all.", "bytes", by("{{release}} {{shard}}", now(m.REPLAY_DISK, "shard"))),
    panel(
        "Deleted episodes",
        "A second: asked for, or by the retention rule.",
        "ops",
        by("{{release}} {{what}}", per_second(m.REPLAY_DELETED, "what")),
        seldom=True,
    ),
    panel(
        "Given back and checked",
        "Bytes a second that rewriting segments gave back, and that were compared with their checksums.",
        "Bps",
        by("{{release}} given back", per_second(m.REPLAY_FREED)),
        by("{{release}} checked", per_second(m.REPLAY_SCRUBBED)),
    ),
    panel(
        "Age of the last backup",
        "Where backups are asked for. Before there is one, since the start.",
        "s",
        by("{{release}} {{shard}}", figures.backup_age()),
        alert=alerts.BACKUP_OLD,
    ),
)

REPLAY = Board(
    name="replay",
    title="Replay",
    says="Does replay take and give what it should, who waits for whom, what is it short of?",
    rows=(("Now", _NOW), ("Calls", _CALLS), ("Durability", _DURABLE), ("Rate limiter", _LIMITS), ("Disk", _DISK)),
)
