"""Metrics: names and labels obey the rule, the endpoint answers, time is counted where it goes."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Callable

import pytest

from ramp.errors import Unavailable
from services.common import metrics
from tests.tooling import tool


def exported(name: str, labels: dict[str, str] | None = None) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels or {}) or 0.0


def test_every_metric_has_a_help_a_kind_and_labels_that_something_bounds() -> None:
    for known in metrics.definitions():
        assert known.help, known.name
        assert set(known.labels) <= set(metrics.LABELS), known.name
        assert known.name.endswith("_total") == (known.kind == "counter"), known.name


def test_a_counter_s_unit_stands_before_total() -> None:
    assert metrics.definition(metrics.REPLAY_APPENDED_BYTES).unit == "bytes"
    assert metrics.definition(metrics.ACTOR_TAKEOVERS).unit == ""
    assert metrics.definition(metrics.GRPC_SECONDS).unit == "seconds"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (metrics.counter, "actor_steps_total"),
        (metrics.counter, "ramp_kitchen_steps_total"),
        (metrics.counter, "ramp_actor_steps"),
        (metrics.counter, "ramp_actor_total"),
        (metrics.gauge, "ramp_actor_steps_total"),
        (metrics.gauge, "ramp_actor_mood"),
        (metrics.histogram, "ramp_actor_wait_ms"),
    ],
)
def test_a_name_out_of_order_is_refused(make: Callable[..., object], name: str) -> None:
    with pytest.raises(ValueError, match="name it"):
        make(name, "")


def test_a_label_that_could_grow_without_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="episode_id"):
        metrics.gauge("ramp_actor_waiting_episodes", "", ["episode_id"])


def scraped(*services: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics.serve(services=services)}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def test_the_endpoint_serves_what_was_counted() -> None:
    metrics.progress("testing")
    text = scraped("actor")
    assert 'ramp_process_progress_seconds{stage="testing"}' in text
    assert "process_resident_memory_bytes" in text


def test_a_process_tells_only_of_what_it_is() -> None:
    text = scraped("actor")
    assert "ramp_actor_takeovers_total" in text
    assert "ramp_replay_disk_free_bytes" not in text


@pytest.mark.parametrize("service", metrics.SERVICES)
def test_promtool_has_no_objection_to_what_a_process_exports(service: str) -> None:
    checked = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=scraped(service), capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_a_part_has_one_clock_and_none_while_it_is_idle() -> None:
    metrics.progress("tester", "early")
    metrics.progress("tester", "late")
    assert exported("ramp_process_progress_seconds", {"stage": "tester-late"}) > 0
    assert metrics.REGISTRY.get_sample_value("ramp_process_progress_seconds", {"stage": "tester-early"}) is None
    metrics.idle("tester")
    metrics.idle("tester")
    assert metrics.REGISTRY.get_sample_value("ramp_process_progress_seconds", {"stage": "tester-late"}) is None


def test_a_port_that_is_taken_is_refused_with_the_setting_that_chooses_it() -> None:
    with pytest.raises(Unavailable, match=r"metrics\.port"):
        metrics.serve(metrics.serve(services=()), services=())


def test_time_is_counted_also_where_the_body_raises() -> None:
    spent = metrics.ACTOR_SECONDS.labels("test")

    with pytest.raises(KeyError), metrics.timed(spent):
        raise KeyError

    metrics.add_seconds(spent, 2.0)
    metrics.add_seconds(spent, -1.0)
    assert exported("ramp_actor_work_seconds_total", {"what": "test"}) >= 2.0
