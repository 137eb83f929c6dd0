"""A query can only ask for what is measured."""

from __future__ import annotations

import pytest

from services.common import metrics as m
from services.dashboards.queries import ALERTS, asked_by, grown, now, over, per_second, quantile, series


def test_a_label_that_the_metric_lacks_is_refused() -> None:
    with pytest.raises(KeyError, match="ramp_replay_disk_bytes has no label task"):
        series(m.REPLAY_DISK, task="x")


def test_only_counters_have_rates_and_only_gauges_have_values() -> None:
    with pytest.raises(TypeError, match="is a gauge"):
        per_second(m.REPLAY_DISK)
    with pytest.raises(TypeError, match="is a counter"):
        now(m.ACTOR_STEPS)
    with pytest.raises(TypeError, match="is a histogram"):
        grown(m.GRPC_SECONDS)


def test_panels_ask_for_the_chosen_runs_tasks_and_shards() -> None:
    assert series(m.ACTOR_STEPS) == (
        'ramp_actor_steps_total{namespace=~"$namespace",release=~"$release",task=~"$task"}'
    )
    assert 'shard=~"$shard"' in series(m.REPLAY_ITEMS)
    assert "$__rate_interval" in quantile(0.5, m.GRPC_SECONDS)


def test_alerts_ask_for_all_runs_over_a_window_of_their_own() -> None:
    with asked_by(ALERTS), asked_by(over("1h")):
        found = per_second(m.ACTOR_STEPS, "source")
    assert found == ('sum by (namespace, release, source) (rate(ramp_actor_steps_total{release!=""}[1h]))')
