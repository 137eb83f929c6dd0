"""A real Prometheus for tests: it scrapes every second what a run's targets file names, and evaluates the rules."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.tooling import tool
from tests.waiting import eventually


class Prometheus:
    """Started at once; `ask` from then on."""

    def __init__(self, folder: Path, targets: Path, rules: Path, port: int) -> None:
        folder.mkdir(parents=True)
        config = folder / "prometheus.yaml"
        config.write_text(yaml.safe_dump(_config(targets, rules)))
        self._place = f"http://127.0.0.1:{port}"
        self._output = (folder / "log").open("w")
        self._process = subprocess.Popen(
            [
                tool("prometheus"),
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        eventually(self._is_ready)

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that it answers now."""
        found = self._get("query", query=expression)
        return list(found["data"]["result"])

    def past(self, expression: str, start: float, end: float, step_s: float) -> list[dict[str, Any]]:
        """The same at every step."""
        found = self._get("query_range", query=expression, start=start, end=end, step=step_s)
        return list(found["data"]["result"])

    def rules(self) -> list[dict[str, Any]]:
        """Rules as it evaluates them, with their health."""
        return [rule for group in self._get("rules")["data"]["groups"] for rule in group["rules"]]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(30)
        self._output.close()

    def _get(self, path: str, **words: object) -> Any:
        query = urllib.parse.urlencode(words)
        with urllib.request.urlopen(f"{self._place}/api/v1/{path}?{query}", timeout=30) as answer:
            return json.load(answer)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._place}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def _config(targets: Path, rules: Path) -> dict[str, Any]:
    """Labels are those of the targets file; until it has a cluster's, they are made from role and name."""
    relabel = [
        {"source_labels": ["role"], "regex": "(.+)", "target_label": "component"},
        {"source_labels": ["name"], "regex": "(.+)", "target_label": "pod"},
        {"source_labels": ["role", "name"], "regex": "replay;(.+)", "target_label": "shard"},
        {"source_labels": ["namespace"], "regex": "", "target_label": "namespace", "replacement": "local"},
        {"source_labels": ["release"], "regex": "", "target_label": "release", "replacement": "test"},
        {"regex": "role|name", "action": "labeldrop"},
    ]
    found = {"files": [str(targets)], "refresh_interval": "1s"}
    job = {"job_name": "ramp", "file_sd_configs": [found], "relabel_configs": relabel}
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    return {"global": every, "rule_files": [str(rules)], "scrape_configs": [job]}
