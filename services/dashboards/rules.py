"""The alerts as a file of Prometheus rules."""

from __future__ import annotations

from typing import Any

import yaml

from services.dashboards.alerts import EVERY, Alert

GENERATED = "# Written by `make dashboards` from services/dashboards/alerts.py.\n"


def rules_file() -> str:
    """YAML that `promtool check rules` accepts."""
    group = {"name": "ramp", "rules": [_rule(alert) for alert in EVERY]}
    return GENERATED + yaml.safe_dump({"groups": [group]}, sort_keys=False, width=120)


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.lasting,
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "description": alert.description,
            "runbook_url": alert.runbook,
        },
    }
