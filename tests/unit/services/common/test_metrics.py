"""Metrics: names and labels obey the rule, the endpoint answers, time is counted where it goes."""

from __future__ import annotations

import urllib.request

import pytest

from ramp.errors import Unavailable
from services.common import metrics


def exported(name: str, labels: dict[str, str] | None = None) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels or {}) or 0.0


def test_every_metric_obeys_the_naming_rule_and_uses_known_labels() -> None:
    families = [f for f in metrics.REGISTRY.collect() if not f.name.startswith("process_")]
    assert families
    for family in families:
        name = family.name + ("_total" if family.type == "counter" and not family.name.endswith("seconds") else "")
        assert metrics.NAME.fullmatch(name), family.name
        assert family.documentation, family.name
        for sample in family.samples:
            assert set(sample.labels) <= {*metrics.LABELS, "le"}, family.name


@pytest.mark.parametrize(
    "name", ["actor_steps_total", "ramp_kitchen_steps_total", "ramp_actor_steps", "ramp_actor_total"]
)
def test_a_name_out_of_order_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name it"):
        metrics.counter(name, "")


def test_a_label_that_could_grow_without_bound_is_refused() -> None:
    with pytest.raises(ValueError, match="episode_id"):
        metrics.gauge("ramp_actor_tests_count", "", ["episode_id"])


def test_the_endpoint_serves_what_was_counted() -> None:
    metrics.progress("testing")
    port = metrics.serve()

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()

    assert 'ramp_process_progress_seconds{stage="testing"}' in text
    assert "process_resident_memory_bytes" in text


def test_a_port_that_is_taken_is_refused_with_the_setting_that_chooses_it() -> None:
    with pytest.raises(Unavailable, match=r"metrics\.port"):
        metrics.serve(metrics.serve())


def test_time_is_counted_also_where_the_body_raises() -> None:
    spent = metrics.ACTOR_SECONDS.labels("test")

    with pytest.raises(KeyError), metrics.timed(spent):
        raise KeyError

    metrics.add_seconds(spent, 2.0)
    metrics.add_seconds(spent, -1.0)
    assert exported("ramp_actor_work_seconds_total", {"what": "test"}) >= 2.0
