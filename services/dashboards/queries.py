"""PromQL about the metrics of services/common/metrics.py: a query names the metric's object, so it can't ask for one
that does not exist, nor for a label that the metric lacks.

Every series carries the labels that a scrape adds: namespace, release, component, pod, and shard for replay.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from services.common.metrics import Metric, definition

SCRAPED = ("namespace", "release", "component", "pod", "shard")
RUN = ("namespace", "release")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """Whose series are meant, and over which time rates are taken."""

    run: tuple[str, ...]  # matchers that every query has
    task: str = ""  # matcher of metrics that have a task
    shard: str = ""  # matcher of what replay servers say of themselves
    window: str


PANELS = Scope(
    run=('namespace=~"$namespace"', 'release=~"$release"'),
    task='task=~"$task"',
    shard='shard=~"$shard"',
    window="$__rate_interval",
)
ALERTS = Scope(run=('release!=""',), window="5m")

_scope: ContextVar[Scope] = ContextVar("scope", default=PANELS)


@contextmanager
def asked_by(scope: Scope) -> Iterator[None]:
    """Queries that are written in the body are of this scope; elsewhere they are of PANELS."""
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)


def over(window: str) -> Scope:
    """The present scope with another window, for `asked_by`."""
    return replace(_scope.get(), window=window)


def scraped(name: str, **where: str) -> str:
    """A series that Prometheus itself makes, such as `up`; with a matcher a keyword."""
    return _selector(name, [*_scope.get().run, *_matchers(where)])


def series(metric: Metric, suffix: str = "", **where: str) -> str:
    """Its series; `where` has a regular expression a label. Raises KeyError for a label that it does not have."""
    known, scope = definition(metric), _scope.get()
    for label in where:
        if label not in (*known.labels, *SCRAPED):
            raise KeyError(f"{known.name} has no label {label}")
    matchers = [*scope.run]
    if "task" in known.labels and "task" not in where:
        matchers.append(scope.task)
    if known.name.startswith("ramp_replay_"):
        matchers.append(scope.shard)
    return _selector(known.name + suffix, [*filter(None, matchers), *_matchers(where)])


def now(metric: Metric, *by: str, how: str = "sum", offset: str = "", **where: str) -> str:
    """A gauge of each run, and by these labels."""
    _check_kind(metric, "gauge")
    return f"{how} by ({', '.join((*RUN, *by))}) ({series(metric, **where)}{_offset(offset)})"


def per_second(metric: Metric, *by: str, suffix: str = "", offset: str = "", **where: str) -> str:
    """A counter's rate, summed over each run, and by these labels."""
    _check_kind(metric, "histogram" if suffix else "counter")
    found = f"rate({series(metric, suffix, **where)}[{_scope.get().window}]{_offset(offset)})"
    return f"sum by ({', '.join((*RUN, *by))}) ({found})"


def grown(metric: Metric, *by: str, suffix: str = "", offset: str = "", **where: str) -> str:
    """What a counter has grown by, in the window."""
    _check_kind(metric, "histogram" if suffix else "counter")
    found = f"increase({series(metric, suffix, **where)}[{_scope.get().window}]{_offset(offset)})"
    return f"sum by ({', '.join((*RUN, *by))}) ({found})"


def quantile(share: float, metric: Metric, *by: str, **where: str) -> str:
    """Of a histogram."""
    return f"histogram_quantile({share}, {per_second(metric, *by, 'le', suffix='_bucket', **where)})"


def mean(metric: Metric, *by: str, **where: str) -> str:
    """Of what a histogram was given; for figures whose unit is a share, never for latencies."""
    return ratio(per_second(metric, *by, suffix="_sum", **where), per_second(metric, *by, suffix="_count", **where))


def ratio(part: str, whole: str) -> str:
    """Nothing where the whole is 0. Both have the same labels."""
    return f"{part} / ({whole} > 0)"


def share(part: str, whole: str) -> str:
    """Of a whole that has one label more or is the run's: 0 where the part has no series."""
    return f"({part} or 0 * ({whole})) / ({whole} > 0)"


def seconds_since(times: str) -> str:
    """Of unix times; nothing where the time is 0."""
    return f"time() - ({times} > 0)"


def _matchers(where: dict[str, str]) -> list[str]:
    return [f'{label}=~"{value}"' if _is_pattern(value) else f'{label}="{value}"' for label, value in where.items()]


def _is_pattern(value: str) -> bool:
    return any(character in value for character in "|.*+$")


def _selector(name: str, matchers: list[str]) -> str:
    return f"{name}{{{','.join(matchers)}}}"


def _offset(offset: str) -> str:
    return f" offset {offset}" if offset else ""


def _check_kind(metric: Metric, kind: str) -> None:
    known = definition(metric)
    if known.kind != kind:
        raise TypeError(f"{known.name} is a {known.kind}, not a {kind}")
