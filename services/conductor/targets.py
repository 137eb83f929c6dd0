"""Where Prometheus finds the processes of a run: a file in the format of its file_sd_configs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.common.coordination import Presence


def groups(presence: Sequence[Presence], host: str) -> list[dict[str, Any]]:
    """One group per process that has announced a metrics port."""
    return [
        group(host, int(each.fields["metrics_port"]), each.role, each.name)
        for each in presence
        if each.fields.get("metrics_port", "0") != "0"
    ]


def group(host: str, port: int, role: str, name: str) -> dict[str, Any]:
    """One process."""
    return {"targets": [f"{host}:{port}"], "labels": {"role": role, "name": name}}


def write(path: Path, found: Sequence[Mapping[str, Any]]) -> bool:
    """Replace the file where its content differs; whether it did. Prometheus rereads it by itself."""
    text = json.dumps(found, indent=1) + "\n"
    if path.exists() and path.read_text() == text:
        return False
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)
    return True
