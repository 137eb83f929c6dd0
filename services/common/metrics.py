"""Every Prometheus metric of every process, defined here and nowhere else.

Names are `ramp_<service>_<what>_<unit>`; labels come from LABELS and take few values (never an episode id). A metric
that a process does not use costs nothing: it has no samples without an observation. Waiting and working are both
counted in seconds, so "where the time went" is a division.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, start_http_server

from ramp.errors import Unavailable

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

SERVICES = ("process", "coordination", "grpc", "replay", "registry", "actor", "learner", "conductor")
UNITS = ("seconds", "bytes", "ratio", "total", "steps", "items", "episodes", "version", "count", "updates", "loss")
LABELS = ("task", "purpose", "source", "outcome", "stage", "table", "kind", "alias", "method", "code", "what", "role")
NAME = re.compile(rf"ramp_({'|'.join(SERVICES)})(_[a-z0-9]+)+_({'|'.join(UNITS)})")

_SHORT = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # s


def _check(name: str, labels: Sequence[str]) -> None:
    if not NAME.fullmatch(name):
        raise ValueError(f"metric {name}: name it ramp_<service>_<what>_<unit>, service of {SERVICES}, unit of {UNITS}")
    if not set(labels) <= set(LABELS):
        raise ValueError(f"metric {name}: labels {labels} are not all among {LABELS}")


def counter(name: str, doc: str, labels: Sequence[str] = ()) -> Counter:
    """A count or a sum that only grows."""
    _check(name, labels)
    return Counter(name, doc, labels, registry=REGISTRY)


def gauge(name: str, doc: str, labels: Sequence[str] = ()) -> Gauge:
    """A present value."""
    _check(name, labels)
    return Gauge(name, doc, labels, registry=REGISTRY)


def histogram(name: str, doc: str, labels: Sequence[str] = (), buckets: Sequence[float] = _SHORT) -> Histogram:
    """A distribution; in seconds unless its name says otherwise."""
    _check(name, labels)
    return Histogram(name, doc, labels, buckets=buckets, registry=REGISTRY)


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


def progress(stage: str) -> None:
    """Says that `stage` has just got on. A process that lives but stands still is found by this clock."""
    PROGRESS_CLOCK.labels(stage).set(time.time())


def serve(port: int = 0, host: str = "127.0.0.1") -> int:
    """Answer GET /metrics from a thread for the rest of this process; the port, chosen freely where 0 was given.

    Raises Unavailable where it can't listen there.
    """
    try:
        server, _ = start_http_server(port, addr=host, registry=REGISTRY)
    except OSError as error:
        raise Unavailable(f"metrics can't be served on {host}:{port}: {error}; choose another metrics.port") from error
    return int(server.server_port)


# ------------------------------------------------------------------------------------------ every process

PROGRESS_CLOCK = gauge("ramp_process_progress_seconds", "Unix time at which a stage last got on", ["stage"])

# ------------------------------------------------------------------------------------------- coordination

COORDINATION_FAILURES = counter("ramp_coordination_failures_total", "Calls that Redis did not answer", ["method"])
COORDINATION_SECONDS = counter("ramp_coordination_call_seconds", "Time spent in calls to Redis", ["method"])

# -------------------------------------------------------------------------------------------------- actor

ACTOR_EPISODES = counter("ramp_actor_episodes_total", "Episodes collected", ["task", "purpose", "outcome"])
ACTOR_STEPS = counter("ramp_actor_steps_total", "Steps executed, by who chose the action", ["task", "source"])
ACTOR_FRAMES = counter("ramp_actor_frames_total", "Observations rendered, all cameras of a step as one", ["task"])
ACTOR_TAKEOVERS = counter("ramp_actor_takeovers_total", "Times a person took over", ["task"])
ACTOR_SECONDS = counter("ramp_actor_work_seconds", "Time of sim, render, inference, replay, weights", ["what"])
ACTOR_POLICY = gauge("ramp_actor_policy_version", "Version of the policy that acts")
ACTOR_REFUSED = counter("ramp_actor_weights_refused_total", "Published weights that an actor refused", ["kind"])

# ------------------------------------------------------------------------------------------------ learner

LEARNER_UPDATES = counter("ramp_learner_applied_updates", "Updates applied, by model", ["what"])
LEARNER_SKIPPED = counter("ramp_learner_skipped_updates", "Updates left out because they were not finite", ["what"])
LEARNER_REWINDS = counter("ramp_learner_rewinds_total", "Returns to the last checkpoint after such updates")
LEARNER_SECONDS = counter("ramp_learner_work_seconds", "Time of wait, update, publish, checkpoint, relabel", ["what"])
LEARNER_LOSS = gauge("ramp_learner_mean_loss", "Mean since the last report, by name", ["what"])
LEARNER_VERSION = gauge("ramp_learner_published_version", "Last published version", ["kind"])
LEARNER_POLICY_AGE = gauge("ramp_learner_policy_age_version", "Published versions since the one that acted, mean")
LEARNER_RELABELLED = counter("ramp_learner_relabelled_episodes", "Episodes labelled")
LEARNER_RELABEL_FAILURES = counter("ramp_learner_relabel_failures_total", "Relabelling passes that were broken off")
LEARNER_FRAMES = counter("ramp_learner_latents_total", "Frames whose latents were asked for: tokenized, kept", ["what"])
LEARNER_STREAM_RETRIES = counter("ramp_learner_stream_retries_total", "Attempts to open a sampling stream again")
LEARNER_DECODED = counter("ramp_learner_decoded_frames_total", "Sampled frames that were JPEG or PNG")
LEARNER_DECODE_SECONDS = counter("ramp_learner_decode_seconds", "Time from a batch's arrival to its pixels")
LEARNER_SPOILT = counter("ramp_learner_spoilt_batches_total", "Batches left out: a picture could not be decoded")

# --------------------------------------------------------------------------------------- servers of gRPC

GRPC_CALLS = counter("ramp_grpc_calls_total", "Calls answered, by method and status", ["method", "code"])
GRPC_SECONDS = histogram("ramp_grpc_call_seconds", "Duration of calls; streams live long", ["method"])

# ------------------------------------------------------------------------------------------------- replay

REPLAY_APPENDED_STEPS = counter("ramp_replay_appended_steps", "Steps written, each once")
REPLAY_APPENDED_BYTES = counter("ramp_replay_appended_bytes", "Arrow bytes written")
REPLAY_ENDED_EPISODES = counter("ramp_replay_ended_episodes", "Episodes that became visible, by table", ["table"])
REPLAY_REFUSED = counter("ramp_replay_refused_total", "Appends refused, by status", ["code"])
REPLAY_APPEND_SECONDS = histogram("ramp_replay_append_seconds", "Decoding, checking and writing one batch of steps")
REPLAY_SYNC_SECONDS = histogram("ramp_replay_sync_seconds", "Waiting for the fsync that several appends share")
REPLAY_SAMPLED_ITEMS = counter("ramp_replay_sampled_items", "Items sent to learners", ["table"])
REPLAY_SAMPLED_BYTES = counter("ramp_replay_sampled_bytes", "Bytes of batches sent to learners", ["table"])
REPLAY_SAMPLE_SECONDS = histogram("ramp_replay_sample_seconds", "Making one batch, waits left out", ["table"])
REPLAY_SAMPLE_WAIT = counter("ramp_replay_sample_wait_seconds", "Sampling held back by the rate limiter", ["table"])
REPLAY_INSERT_WAIT = counter("ramp_replay_insert_wait_seconds", "Inserting held back by the rate limiter", ["table"])
REPLAY_ITEMS = gauge("ramp_replay_held_items", "Items of a table", ["table"])
REPLAY_EPISODES = gauge("ramp_replay_held_episodes", "Episodes of a table", ["table"])
REPLAY_LEAD = gauge("ramp_replay_limiter_lead_items", "Lead of the rate limiter, in samples", ["table"])
REPLAY_LABELLED = gauge("ramp_replay_labelled_ratio", "Share of a table's items that have an indicator", ["table"])
REPLAY_ANNOTATION = gauge("ramp_replay_annotation_version", "World-model version of the current labels")
REPLAY_DISK = gauge("ramp_replay_disk_bytes", "Bytes of all segments")
REPLAY_DELETED = counter("ramp_replay_deleted_episodes", "Episodes deleted because of what: asked, retention", ["what"])
REPLAY_FREED = counter("ramp_replay_freed_bytes", "Bytes given back by writing segments again")
REPLAY_SCRUBBED = counter("ramp_replay_scrubbed_bytes", "Bytes of closed segments compared with their checksums")
REPLAY_NAME_TAKEN = gauge("ramp_replay_name_taken_count", "1 while a server with other data holds the shard's name")
REPLAY_BACKUP = gauge(
    "ramp_replay_backup_seconds", "Unix time of the last backup; of the first start before there is one"
)
REPLAY_BACKUP_FAILURES = counter("ramp_replay_backup_failures_total", "Backups that were broken off")
REPLAY_AWAY = gauge("ramp_replay_away_count", "Shards that this client does not reach")
REPLAY_DAMAGED = gauge("ramp_replay_quarantined_count", "Places on disk whose bytes were not what had been written")

# ---------------------------------------------------------------------------------------------- conductor

CONDUCTOR_LOST = counter("ramp_conductor_lost_total", "Assignments that died or failed with their actor", ["purpose"])
CONDUCTOR_RESTARTS = counter("ramp_conductor_restarts_total", "Processes that had to be started again", ["role"])
CONDUCTOR_INFLIGHT = gauge("ramp_conductor_inflight_episodes", "Episodes that actors were asked for and have not sent")
CONDUCTOR_MEMORY = gauge("ramp_conductor_memory_bytes", "Memory of the run, shared pages counted once", ["role"])
CONDUCTOR_STAGE = gauge("ramp_conductor_stage_ratio", "How much of a stage is done", ["stage"])
CONDUCTOR_SUCCESS = gauge("ramp_conductor_success_ratio", "Success in the last complete evaluation", ["task", "what"])
