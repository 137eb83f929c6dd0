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
    """Answer GET /metrics from a thread for the rest of this process; the port, chosen freely where 0 was given."""
    server, _ = start_http_server(port, addr=host, registry=REGISTRY)
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
