"""Every Prometheus metric of every process, defined here and nowhere else: name, type, unit, labels, help.

A gauge or histogram is named `ramp_<service>_<what>_<unit>`, a counter `ramp_<service>_<what>_total`, with the unit
before `_total` where it has one: the names that Prometheus shows. Labels come from LABELS, which says what bounds each
of them (never an episode id). A metric that a process does not use costs nothing. Waiting and working are both counted
in seconds, so "where the time went" is a division. Dashboards and alerts (services/dashboards) name these objects, so
that none can ask for a metric that does not exist.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from ramp.errors import Unavailable

disable_created_metrics()  # a time series for each that nobody looks at
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

SERVICES = ("process", "coordination", "grpc", "spool", "replay", "registry", "policy", "actor", "learner", "conductor")
UNITS = ("seconds", "bytes", "ratio", "version", "loss", "norm")
COUNTED = ("steps", "items", "episodes", "batches", "frames", "calls", "appends", "robots", "shards", "names", "places")
LABELS = {
    "task": "the settings' tasks",
    "purpose": "demo, rollout, eval",
    "source": "of ramp.types.Source",
    "outcome": "success, failure",
    "stage": "of a run, behind the part that is in it",
    "table": "the run's tables and mounts",
    "kind": "of ramp.types.Kind",
    "alias": "of the registry",
    "method": "of the contract",
    "code": "of gRPC",
    "what": "named in the help or where it is counted",
    "role": "of the topology",
    "door": "grpc, flight_sample, flight_append",
    "horizon": "the world model's horizons, in steps",
    "robot": "at most services/replay/robots.py's NAMED, those furthest behind",
}
GAUGE = re.compile(rf"ramp_({'|'.join(SERVICES)})(_[a-z0-9]+)*_({'|'.join((*UNITS, *COUNTED))})")
COUNTER = re.compile(rf"ramp_({'|'.join(SERVICES)})(_[a-z0-9]+)+_total")

_SHORT = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # s
_LONG = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400)  # s
_SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)

Metric = Counter | Gauge | Histogram


@dataclass(frozen=True, kw_only=True, slots=True)
class Definition:
    """What is known of a metric before anything is measured."""

    name: str  # as Prometheus shows it; of a histogram without _bucket, _sum and _count
    kind: str  # counter, gauge or histogram
    help: str
    labels: tuple[str, ...]

    @property
    def unit(self) -> str:
        """Of UNITS or COUNTED; "" of a counter that counts what its name says."""
        last = self.name.removesuffix("_total").rpartition("_")[2]
        return last if last in (*UNITS, *COUNTED) else ""


_DEFINITIONS: dict[Metric, Definition] = {}


def definition(metric: Metric) -> Definition:
    """Raises KeyError for one that is not defined here."""
    return _DEFINITIONS[metric]


def definitions() -> tuple[Definition, ...]:
    """All of them, in the order of this file."""
    return tuple(_DEFINITIONS.values())


def _defined(metric: Metric, kind: str, name: str, help: str, labels: Sequence[str]) -> None:
    _DEFINITIONS[metric] = Definition(name=name, kind=kind, help=help, labels=tuple(labels))


def _check(name: str, labels: Sequence[str], rule: re.Pattern[str]) -> None:
    if not rule.fullmatch(name):
        raise ValueError(f"metric {name}: name it so that it matches {rule.pattern}")
    if not set(labels) <= set(LABELS):
        raise ValueError(f"metric {name}: labels {labels} are not all among {tuple(LABELS)}")


def counter(name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
    """A count or a sum that only grows."""
    _check(name, labels, COUNTER)
    made = Counter(name, doc, labels, registry=REGISTRY)
    _defined(made, "counter", name, doc, labels)
    return made


def gauge(name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
    """A present value."""
    _check(name, labels, GAUGE)
    made = Gauge(name, doc, labels, registry=REGISTRY)
    _defined(made, "gauge", name, doc, labels)
    return made


def histogram(name: str, doc: str, labels: Sequence[str] = (), buckets: Sequence[float] = _SHORT) -> Histogram:
    """A distribution; in seconds unless its name says otherwise."""
    _check(name, labels, GAUGE)
    made = Histogram(name, doc, labels, buckets=buckets, registry=REGISTRY)
    _defined(made, "histogram", name, doc, labels)
    return made


@contextmanager
def timed(metric: Counter | Histogram) -> Iterator[None]:
    """Adds the seconds that the body takes, also where it raises."""
    began = time.monotonic()
    try:
        yield
    finally:
        add_seconds(metric, time.monotonic() - began)


def add_seconds(metric: Counter | Histogram, seconds: float) -> None:
    """Adds a duration that was measured elsewhere."""
    if isinstance(metric, Histogram):
        metric.observe(seconds)
    else:
        metric.inc(max(seconds, 0.0))


def set_only(metric: Gauge, values: Mapping[str, float]) -> None:
    """The values of a gauge by its one label; others that it had are gone."""
    told = {value for family in metric.collect() for sample in family.samples for value in sample.labels.values()}
    for name in told - values.keys():
        metric.remove(name)
    for name, value in values.items():
        metric.labels(name).set(value)


_stages: dict[str, str] = {}  # part of this process -> the stage that its clock shows


def progress(part: str, stage: str = "") -> None:
    """Says that a part of this process has just got on in `stage`. A process that lives but stands still is found by
    this clock. A part has one clock: a new stage stops that of the one before."""
    name = f"{part}-{stage}" if stage else part
    if _stages.get(part, name) != name:
        idle(part)
    _stages[part] = name
    PROGRESS_CLOCK.labels(name).set(time.time())


def idle(part: str) -> None:
    """Stops the part's clock: there is nothing for it to do, which is not standing still."""
    if name := _stages.pop(part, ""):
        PROGRESS_CLOCK.remove(name)


class Parts(CollectorRegistry):
    """The metrics of some services: a process tells of what it is alone, not that a disk it lacks has 0 bytes."""

    def __init__(self, services: Sequence[str]) -> None:
        super().__init__()
        self._prefixes = ("process_", "ramp_process_", *(f"ramp_{service}_" for service in services))

    def collect(self) -> Iterator[Any]:
        return (family for family in REGISTRY.collect() if family.name.startswith(self._prefixes))


def serve(port: int = 0, host: str = "127.0.0.1", *, services: Sequence[str]) -> int:
    """Answer GET /metrics, with what is of `services` and of every process, from a thread for the rest of this process;
    the port, chosen freely where 0 was given.

    Raises Unavailable where it can't listen there.
    """
    try:
        server, _ = start_http_server(port, addr=host, registry=Parts(services))
    except OSError as error:
        raise Unavailable(f"metrics can't be served on {host}:{port}: {error}; choose another metrics.port") from error
    return int(server.server_port)


# ------------------------------------------------------------------------------------------ every process

PROGRESS_CLOCK = gauge(
    "ramp_process_progress_seconds", "Unix time at which a stage last got on; none where nothing is to do", ["stage"]
)
CERTIFICATE_EXPIRY = gauge(
    "ramp_process_certificate_expiry_seconds", "Unix time at which the first certificate of a file expires", ["what"]
)

# ------------------------------------------------------------------------------------------- coordination

COORDINATION_FAILURES = counter("ramp_coordination_failures_total", "Calls that Redis did not answer", ["method"])
COORDINATION_SECONDS = counter("ramp_coordination_call_seconds_total", "Time spent in calls to Redis", ["method"])

# -------------------------------------------------------------------------------------------------- actor

ACTOR_EPISODES = counter("ramp_actor_episodes_total", "Episodes collected", ["task", "purpose", "outcome"])
ACTOR_STEPS = counter("ramp_actor_steps_total", "Steps executed, by who chose the action", ["task", "source"])
ACTOR_FRAMES = counter("ramp_actor_frames_total", "Observations rendered, all cameras of a step as one", ["task"])
ACTOR_TAKEOVERS = counter("ramp_actor_takeovers_total", "Times a person took over", ["task"])
ACTOR_SECONDS = counter("ramp_actor_work_seconds_total", "Time of sim, render, inference, replay, weights", ["what"])
ACTOR_POLICY = gauge("ramp_actor_policy_version", "Version of the policy that acts")
ACTOR_REFUSED = counter("ramp_actor_weights_refused_total", "Published weights that an actor refused", ["kind"])

# ------------------------------------------------------------------------------------------------ learner

LEARNER_UPDATES = counter("ramp_learner_applied_updates_total", "Updates applied, by model", ["what"])
LEARNER_SKIPPED = counter(
    "ramp_learner_skipped_updates_total", "Updates left out because they were not finite", ["what"]
)
LEARNER_REWINDS = counter("ramp_learner_rewinds_total", "Returns to the last checkpoint after such updates")
LEARNER_SECONDS = counter(
    "ramp_learner_work_seconds_total", "Time of wait, update, sync, publish, checkpoint, relabel", ["what"]
)
LEARNER_UPDATE_SECONDS = histogram(
    "ramp_learner_update_seconds", "One update, without the wait for its batch", ["what"], (*_SHORT, 30, 60)
)
LEARNER_GRADIENT = gauge("ramp_learner_gradient_norm", "Of the last update, before clipping, by model", ["what"])
LEARNER_LOSS = gauge("ramp_learner_mean_loss", "Mean since the last report, by name", ["what"])
LEARNER_VERSION = gauge("ramp_learner_published_version", "Last published version", ["kind"])
LEARNER_POLICY_AGE = gauge("ramp_learner_policy_age_version", "Published versions since the one that acted, mean")
LEARNER_RELEASE_SECONDS = histogram(
    "ramp_learner_release_seconds",
    "From the end of an episode to the first published policy that was trained with it",
    buckets=_LONG,
)
LEARNER_VALUE_ERROR = histogram(
    "ramp_learner_value_error_ratio",
    "Remaining time, predicted against what came true on new episodes, in shares of the task's limit",
    ["task"],
    _SHARES,
)
LEARNER_VALUE_PREDICTED = counter("ramp_learner_value_predicted_ratio_total", "Sum of those predictions", ["task"])
LEARNER_VALUE_TRUE = counter("ramp_learner_value_true_ratio_total", "Sum of what came true", ["task"])
LEARNER_IMAGINED_ERROR = counter(
    "ramp_learner_imagined_error_total",
    "Squared difference of imagined and real latents of new episodes",
    ["horizon"],
)
LEARNER_IMAGINED_CHANGE = counter(
    "ramp_learner_imagined_change_total",
    "The same of an imagination in which nothing moves",
    ["horizon"],
)
LEARNER_RELABELLED = counter("ramp_learner_relabelled_episodes_total", "Episodes labelled")
LEARNER_RELABEL_FAILURES = counter("ramp_learner_relabel_failures_total", "Relabelling passes that were broken off")
LEARNER_FRAMES = counter("ramp_learner_latents_total", "Frames whose latents were asked for: tokenized, kept", ["what"])
LEARNER_STREAM_RETRIES = counter("ramp_learner_stream_retries_total", "Attempts to open a sampling stream again")
LEARNER_PREFETCHED = gauge("ramp_learner_prefetched_batches", "Converted batches that wait for an update", ["table"])
LEARNER_DECODED = counter("ramp_learner_decoded_frames_total", "Sampled frames that were JPEG or PNG")
LEARNER_DECODE_SECONDS = counter("ramp_learner_decode_seconds_total", "Time from a batch's arrival to its pixels")
LEARNER_DECODING = gauge("ramp_learner_decoding_frames", "Sampled frames that are being made pixels")
LEARNER_SPOILT = counter("ramp_learner_spoilt_batches_total", "Batches left out: a picture could not be decoded")

# --------------------------------------------------------------------------------------- servers of gRPC

GRPC_CALLS = counter("ramp_grpc_calls_total", "Calls answered, by method and status", ["method", "code"])
GRPC_SECONDS = histogram("ramp_grpc_call_seconds", "Duration of calls; streams live long", ["method"])
GRPC_INFLIGHT = gauge("ramp_grpc_inflight_calls", "Calls being answered; one more than the limit is refused", ["door"])
GRPC_LIMIT = gauge("ramp_grpc_limit_calls", "Calls that a door answers at the same time", ["door"])

# ------------------------------------------------------------------------------------ producers' spools

SPOOL_EPISODES = gauge("ramp_spool_waiting_episodes", "Episodes that replay has not acknowledged to their end")
SPOOL_BYTES = gauge("ramp_spool_waiting_bytes", "Bytes of them")
SPOOL_REFUSED = counter(
    "ramp_spool_refused_episodes_total", "Episodes that replay refused for good, by status", ["code"]
)

# ------------------------------------------------------------------------------------------------- replay

REPLAY_APPENDED_STEPS = counter("ramp_replay_appended_steps_total", "Steps written, each once, by source", ["source"])
REPLAY_APPENDED_BYTES = counter("ramp_replay_appended_bytes_total", "Arrow bytes written")
REPLAY_ENDED_EPISODES = counter("ramp_replay_ended_episodes_total", "Episodes that became visible, by table", ["table"])
REPLAY_REFUSED = counter("ramp_replay_refused_total", "Appends refused, by status", ["code"])
REPLAY_APPEND_SECONDS = histogram("ramp_replay_append_seconds", "Decoding, checking and writing one batch of steps")
REPLAY_SYNC_SECONDS = histogram("ramp_replay_sync_seconds", "Waiting for the fsync that several appends share")
REPLAY_UNSYNCED = gauge("ramp_replay_unsynced_appends", "Appends that wait for the fsync that several share")
REPLAY_SAMPLED_ITEMS = counter("ramp_replay_sampled_items_total", "Items sent to learners", ["table"])
REPLAY_SAMPLED_BYTES = counter("ramp_replay_sampled_bytes_total", "Bytes of batches sent to learners", ["table"])
REPLAY_SAMPLE_SECONDS = histogram("ramp_replay_sample_seconds", "Making one batch, waits left out", ["table"])
REPLAY_SAMPLE_WAIT = counter(
    "ramp_replay_sample_wait_seconds_total", "Sampling held back by the rate limiter", ["table"]
)
REPLAY_INSERT_WAIT = counter(
    "ramp_replay_insert_wait_seconds_total", "Inserting held back by the rate limiter", ["table"]
)
REPLAY_ITEMS = gauge("ramp_replay_held_items", "Items of a table", ["table"])
REPLAY_EPISODES = gauge("ramp_replay_held_episodes", "Episodes of a table", ["table"])
REPLAY_LEAD = gauge("ramp_replay_limiter_lead_items", "Lead of the rate limiter, in samples", ["table"])
REPLAY_SLACK = gauge("ramp_replay_limiter_slack_items", "Lead at which inserting waits; minus it, sampling", ["table"])
REPLAY_ALLOWED = gauge("ramp_replay_samples_per_insert_ratio", "Samples per insert that are allowed", ["table"])
REPLAY_INSERTED_ITEMS = counter("ramp_replay_inserted_items_total", "Items that a table has received", ["table"])
REPLAY_OPEN = gauge("ramp_replay_open_episodes", "Episodes that have begun and not ended")
REPLAY_LABELLED = gauge("ramp_replay_labelled_ratio", "Share of a table's items that have an indicator", ["table"])
REPLAY_ANNOTATION = gauge("ramp_replay_annotation_version", "World-model version of the current labels")
REPLAY_DISK = gauge("ramp_replay_disk_bytes", "Bytes of all segments")
REPLAY_DISK_FREE = gauge("ramp_replay_disk_free_bytes", "Bytes that the shard's volume still takes")
REPLAY_DISK_CAPACITY = gauge("ramp_replay_disk_capacity_bytes", "Bytes of the shard's volume")
REPLAY_BACKUP = gauge("ramp_replay_backup_seconds", "Unix time of the last backup; its start where none; 0: unasked")
REPLAY_BACKUP_FAILURES = counter("ramp_replay_backup_failures_total", "Backups that were broken off")
REPLAY_ROBOTS = gauge("ramp_replay_heard_robots", "Robots that have appended within a day")
REPLAY_ROBOT_HEARD = gauge("ramp_replay_robot_heard_seconds", "Unix time of a robot's last append", ["robot"])
REPLAY_ROBOT_POLICY = gauge("ramp_replay_robot_policy_version", "Policy that a robot acted by in it", ["robot"])
REPLAY_DELETED = counter(
    "ramp_replay_deleted_episodes_total", "Episodes deleted because of what: asked, retention", ["what"]
)
REPLAY_FREED = counter("ramp_replay_freed_bytes_total", "Bytes given back by writing segments again")
REPLAY_SCRUBBED = counter("ramp_replay_scrubbed_bytes_total", "Bytes of closed segments compared with their checksums")
REPLAY_NAME_TAKEN = gauge("ramp_replay_taken_names", "1 while a server with other data holds the shard's name")
REPLAY_DAMAGED = gauge("ramp_replay_quarantined_places", "Places on disk whose bytes were not what had been written")

# ------------------------------------------------------------------------------------------ policy server

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
POLICY_REQUESTS = counter("ramp_policy_requests_total", "Requests for actions, by status of the answer", ["code"])
POLICY_REQUEST_SECONDS = histogram("ramp_policy_request_seconds", "From a request's arrival to its answer")
POLICY_QUEUE = gauge("ramp_policy_queue_items", "Requests that wait for their turn")
POLICY_BATCH = histogram("ramp_policy_batch_items", "Requests that one run of the model answers", buckets=_BATCHES)
POLICY_INFER_SECONDS = histogram("ramp_policy_infer_seconds", "One run of the model")
POLICY_VERSION = gauge("ramp_policy_version", "Version that new episodes begin with")
POLICY_REFUSED = counter("ramp_policy_refused_total", "Published weights that the server refused, by status", ["code"])

# ----------------------------------------------------------------------------------------------- registry

REGISTRY_ALIAS = gauge("ramp_registry_alias_version", "Version that an alias points to", ["kind", "alias"])
REGISTRY_PROMOTIONS = counter("ramp_registry_promotions_total", "Changes of an alias, by what", ["alias", "what"])
REGISTRY_PROMOTED = gauge("ramp_registry_promoted_seconds", "Unix time of an alias's last such change", ["alias"])

# ---------------------------------------------------------------------------------------------- conductor

CONDUCTOR_LOST = counter("ramp_conductor_lost_total", "Assignments that died or failed with their actor", ["purpose"])
CONDUCTOR_AWAY = gauge("ramp_conductor_away_shards", "Replay shards that do not answer")
CONDUCTOR_RESTARTS = counter("ramp_conductor_restarts_total", "Processes that had to be started again", ["role"])
CONDUCTOR_INFLIGHT = gauge("ramp_conductor_inflight_episodes", "Episodes that actors were asked for and have not sent")
CONDUCTOR_MEMORY = gauge("ramp_conductor_memory_bytes", "Memory of the run, shared pages counted once", ["role"])
CONDUCTOR_STAGE = gauge("ramp_conductor_stage_ratio", "How much of a stage is done", ["stage"])
CONDUCTOR_SUCCESS = gauge("ramp_conductor_success_ratio", "Success in the last complete evaluation", ["task", "what"])
