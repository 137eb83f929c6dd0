"""Where Prometheus finds the processes of a run: a file in the format of its file_sd_configs.

The labels are those that a cluster's monitors give: namespace, release, component, pod, and shard for replay.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.common.coordination import Presence

NAMESPACE = "local"


def groups(presence: Sequence[Presence], release: str) -> list[dict[str, Any]]:
    """One group per process that has announced a metrics port."""
    return [
        group(f"{each.fields['host']}:{each.fields['metrics_port']}", release, each.role, each.name)
        for each in presence
        if each.fields.get("metrics_port", "0") != "0"
    ]


def group(address: str, release: str, component: str, pod: str) -> dict[str, Any]:
    """One process. A replay server goes by the name of its shard."""
    labels = {"namespace": NAMESPACE, "release": release, "component": component, "pod": pod}
    return {"targets": [address], "labels": labels | ({"shard": pod} if component == "replay" else {})}


def write(path: Path, found: Sequence[Mapping[str, Any]]) -> bool:
    """Replace the file where its content differs; whether it did. Prometheus rereads it by itself."""
    text = json.dumps(found, indent=1) + "\n"
    if path.exists() and path.read_text() == text:
        return False
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)
    return True
