"""Are learners fed, and is training healthy?"""

from __future__ import annotations

from services.common import metrics as m
from services.dashboards import alerts, figures
from services.dashboards.board import Board
from services.dashboards.panels import Panel, by, number, panel
from services.dashboards.queries import grown, now, per_second, quantile, ratio

_NOW = (
    number("Updates", "Applied a second, all models.", "ops", per_second(m.LEARNER_UPDATES)),
    number("Waits", "Share of time without data.", "percentunit", figures.waiting(), alert=alerts.LEARNER_STARVED),
    number("Policy", "Last published version.", "short", now(m.LEARNER_VERSION, how="max", kind="policy")),
    number("Staleness", "Policies behind, mean.", "short", figures.staleness()),
    number("Rewinds", "Returns to a checkpoint.", "short", figures.rewinds(), alert=alerts.REWINDS, seldom=True),
    number(
        "Left out",
        "Updates that were not finite.",
        "short",
        grown(m.LEARNER_SKIPPED),
        seldom=True,
        empty="none",
    ),
)
_TIME = (
    panel(
        "Where the time goes",
        "Seconds of workers a second: wait for data, update, sync (gradients exchanged, not overlapped), publish, "
        "checkpoint, relabel.",
        "s",
        by("{{release}} {{what}}", figures.busy()),
        stacked=True,
        width=12,
    ),
    panel(
        "Duration of an update",
        "Without the wait for its batch.",
        "s",
        by("{{release}} {{what}} p50", quantile(0.5, m.LEARNER_UPDATE_SECONDS, "what")),
        by("{{release}} {{what}} p99", quantile(0.99, m.LEARNER_UPDATE_SECONDS, "what")),
        width=12,
    ),
    Panel(
        title="Updates by duration",
        says="Two bands, or a tail: some updates wait for something.",
        unit="s",
        queries=(by("{{le}}", per_second(m.LEARNER_UPDATE_SECONDS, "le", suffix="_bucket")),),
        kind="heatmap",
        width=12,
    ),
    panel(
        "Waiting share",
        "Of all time. Above the line learners are starved.",
        "percentunit",
        figures.waiting(),
        alert=alerts.LEARNER_STARVED,
        width=12,
    ),
)
_DATA = (
    panel(
        "Batches ready",
        "Converted ones that wait for an update, by table. 0: the road from replay is too slow; 3: the learner is.",
        "short",
        by("{{release}} {{table}}", now(m.LEARNER_PREFETCHED, "table")),
    ),
    panel(
        "Frames being decoded",
        "JPEG or PNG that is being made pixels. Constantly many: raise learner.decode_threads.",
        "short",
        now(m.LEARNER_DECODING),
    ),
    panel(
        "Decoding a frame",
        "Seconds of waiting for pixels, a frame.",
        "s",
        ratio(per_second(m.LEARNER_DECODE_SECONDS), per_second(m.LEARNER_DECODED)),
    ),
    panel(
        "Streams opened again",
        "A second. Replay was away, or is short of seats.",
        "ops",
        per_second(m.LEARNER_STREAM_RETRIES),
        seldom=True,
    ),
    panel(
        "Spoilt batches",
        "Left out, a second: a picture could not be decoded. The learner's log names it.",
        "ops",
        per_second(m.LEARNER_SPOILT),
        seldom=True,
    ),
    panel(
        "Frames through the tokenizer",
        "A second: tokenized, or kept from before.",
        "ops",
        by("{{release}} {{what}}", per_second(m.LEARNER_FRAMES, "what")),
    ),
)
_HEALTH = (
    panel(
        "Losses",
        "Mean since the last report, by name.",
        "short",
        by("{{release}} {{what}}", now(m.LEARNER_LOSS, "what", how="avg")),
    ),
    panel(
        "Gradient norms",
        "Of the last update, before clipping, by model. Rising by orders: lower the learning rate.",
        "short",
        by("{{release}} {{what}}", now(m.LEARNER_GRADIENT, "what", how="max")),
    ),
    panel(
        "Updates left out",
        "Not finite, a second, by model; three in a row end in a rewind.",
        "ops",
        by("{{release}} {{what}}", per_second(m.LEARNER_SKIPPED, "what")),
        seldom=True,
    ),
    panel("Rewinds", "Returns to the last checkpoint.", "short", figures.rewinds(), alert=alerts.REWINDS, seldom=True),
    panel(
        "Episodes labelled",
        "A second.",
        "ops",
        per_second(m.LEARNER_RELABELLED),
        seldom=True,
    ),
    panel(
        "Labelling broken off",
        "Passes a second; each is tried again.",
        "ops",
        per_second(m.LEARNER_RELABEL_FAILURES),
        seldom=True,
    ),
)

LEARNER = Board(
    name="learner",
    title="Learner",
    says="Are learners fed, where does their time go, is training healthy?",
    rows=(("Now", _NOW), ("Time", _TIME), ("Data", _DATA), ("Training", _HEALTH)),
)
