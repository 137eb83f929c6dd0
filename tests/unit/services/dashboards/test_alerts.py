"""Alerts and runbooks belong together, and say what an operator needs."""

from __future__ import annotations

import re

import pytest
import yaml

from services.dashboards.alerts import EVERY, Alert
from services.dashboards.rules import rules_file
from tests.unit.sources import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
SECTIONS = ["What it means", "What to look at", "What to do", "How to confirm"]


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    assert {path.name for path in RUNBOOKS.glob("*.md")} == {f"{alert.name}.md" for alert in EVERY}


@pytest.mark.parametrize("alert", EVERY, ids=lambda alert: alert.name)
def test_a_runbook_leads_from_what_it_means_to_how_to_confirm(alert: Alert) -> None:
    text = (ROOT / alert.runbook).read_text()
    assert text.startswith(f"# {alert.name}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS


def test_the_documented_table_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(runbooks/\w+\.md\) \| (\w+) \| .* \| (\S+) \|$", _page(), re.MULTILINE)
    assert rows == [(alert.name, alert.severity, alert.lasting) for alert in EVERY]


def _page() -> str:
    return (ROOT / "docs" / "watching.md").read_text()


def test_a_rule_ends_in_the_comparison_that_the_chart_may_change() -> None:
    rules = yaml.safe_load(rules_file())["groups"][0]["rules"]
    for alert, rule in zip(EVERY, rules, strict=True):
        assert re.search(rf"\) [<>] {re.escape(f'{alert.bound:g}')}$", rule["expr"]), rule["expr"]
        assert rule["for"]
        assert rule["labels"]["severity"] in ("page", "warning")
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
        assert "$" not in rule["expr"]
        assert 'release!=""' in rule["expr"]
