"""Dashboards and rules of the chart's folders, and of a copy of it that has made-up ones, and what can be changed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.render import CHART, Object, objects, of_chart, of_kind
from tests.unit.sources import ROOT

ON = ("--set=monitoring.prometheusRule.enabled=true", "--set=monitoring.dashboards.enabled=true")
RULES = """
groups:
  - name: made-up
    rules:
      - alert: DiskFills
        expr: predict_linear(free[6h], 86400) < 0
        for: 30m
        labels: {severity: page}
        annotations: {summary: "of {{ $labels.pod }}", runbook_url: docs/runbooks/DiskFills.md}
      - alert: Stalls
        expr: time() - clock > 600
      - alert: Odd
        expr: absent(up)
      - record: rate
        expr: sum(rate(x[5m]))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chart with four rules and a dashboard."""
    chart = tmp_path_factory.mktemp("chart") / "ramp"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("rules", "dashboards"))
    (chart / "rules").mkdir()
    (chart / "rules" / "some.yaml").write_text(RULES)
    (chart / "dashboards").mkdir()
    (chart / "dashboards" / "fleet.json").write_text(json.dumps({"title": "Fleet", "legend": "{{ shard }}"}))
    return chart


def rules(found: list[Object]) -> dict[str, Object]:
    """By name."""
    groups = [group for each in found if each["kind"] == "PrometheusRule" for group in each["spec"]["groups"]]
    return {each.get("alert") or each["record"]: each for group in groups for each in group["rules"]}


def test_rules_come_as_they_are(copy: Path) -> None:
    (kept,) = yaml.safe_load(RULES)["groups"]
    found = rules(of_chart(copy, *ON))
    assert list(found) == ["DiskFills", "Stalls", "Odd", "rate"]
    assert found["DiskFills"] == kept["rules"][0]
    assert found["rate"] == kept["rules"][3]


def test_a_rule_can_be_left_out_and_another_number_given(copy: Path) -> None:
    values = "--set=monitoring.prometheusRule"
    found = rules(of_chart(copy, *ON, f"{values}.disabled={{Odd}}", f"{values}.thresholds.Stalls=90.5"))
    assert list(found) == ["DiskFills", "Stalls", "rate"]
    assert found["Stalls"]["expr"] == "time() - clock > 90.5"


def test_alerts_can_be_routed_and_their_runbooks_moved(copy: Path) -> None:
    values = "--set=monitoring.prometheusRule"
    found = rules(of_chart(copy, *ON, f"{values}.ruleLabels.team=arms", f"{values}.runbookUrl=https://a.example/"))
    assert found["DiskFills"]["labels"] == {"severity": "page", "team": "arms"}
    assert found["DiskFills"]["annotations"]["runbook_url"] == "https://a.example/DiskFills.md"
    assert "labels" not in found["rate"]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("disabled={Stals}", "which there is not; choose from DiskFills, Stalls, Odd, rate"),
        ("thresholds.Odd=1", "ends in no number"),
    ],
)
def test_a_rule_that_cannot_be_changed_so_is_refused(copy: Path, value: str, says: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        of_chart(copy, *ON, f"--set=monitoring.prometheusRule.{value}")
    assert says in caught.value.stderr


def test_a_dashboard_is_a_config_map_with_label_and_folder(copy: Path) -> None:
    found = of_chart(copy, *ON, "--set=monitoring.dashboards.folder=Robots")
    (board,) = [each for each in found if "grafana_dashboard" in each["metadata"].get("labels", {})]
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert board["metadata"]["annotations"] == {"grafana_folder": "Robots"}
    assert json.loads(board["data"]["fleet.json"])["legend"] == "{{ shard }}"


def test_every_dashboard_and_rule_of_the_chart_is_rendered() -> None:
    files = sorted(path.name for path in (CHART / "dashboards").glob("*.json"))  # `make dashboards` writes them
    boards = [each for each in objects(*ON) if "grafana_dashboard" in each["metadata"].get("labels", {})]
    assert sorted(name for each in boards for name in each["data"]) == files
    kept = [group for path in (CHART / "rules").glob("*.yaml") for group in yaml.safe_load(path.read_text())["groups"]]
    names = {each.get("alert") or each["record"] for group in kept for each in group["rules"]}
    assert set(rules(list(objects(*ON)))) == names
    assert of_kind("PrometheusRule") == {}


def test_every_runbook_that_an_alert_names_is_there() -> None:
    for name, rule in rules(list(objects(*ON))).items():
        if "alert" in rule:
            page = re.search(r"[\w.-]+\.md$", rule["annotations"]["runbook_url"])
            assert page, name
            assert (ROOT / "docs" / "runbooks" / page[0]).is_file(), name
