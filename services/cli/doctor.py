"""`ramp doctor`: is this machine fit for a run? And `ramp doctor --cluster`: is everything around a run?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import Dir, Json

if TYPE_CHECKING:
    from services.cli.checks import Finding


def doctor(
    cluster: Annotated[bool, typer.Option("--cluster", help="Check what a run is connected to instead.")] = False,
    dir_: Dir = None,
    as_json: Json = False,
) -> int:
    """Check this machine by trying everything a run needs, and say which command repairs what is missing.

    With --cluster: Redis, both doors of every shard (token, certificate, disk, clock, version), tokens, Ray's
    resources, registry, metrics, and where kubectl reaches a cluster pods, volumes and KubeRay.

    \b
    Exit code 0: ready. 1: something needed is missing.

    \b
    Examples:
      ramp doctor
      ramp doctor --json | jq '.checks[] | select(.ok | not)'
      ramp doctor --cluster --dir /runs/arms
    """
    findings = []
    for finding in _cluster(dir_) if cluster else _machine():
        findings.append(finding)
        if not as_json:
            _print(finding)
    ready = all(finding.ok or not finding.needed for finding in findings)
    if as_json:
        print(json.dumps({"ready": ready, "checks": [asdict(finding) for finding in findings]}))
    elif ready:
        print("ready" if cluster else "ready: ramp run")
    else:
        print("not ready: repair what is marked MISS")
    return 0 if ready else 1


def _machine() -> Iterator[Finding]:
    from services.cli.checks import CHECKS

    return (check() for check in CHECKS)


def _cluster(directory: Path | None) -> Iterator[Finding]:
    """Raises NotFound without a run."""
    from services.cli import cluster_checks
    from services.common.settings import load_settings
    from services.conductor import rundir

    found = rundir.find(directory)
    return cluster_checks.cluster(found, load_settings(found.settings))


def _print(finding: Finding) -> None:
    mark = "ok  " if finding.ok else "MISS" if finding.needed else "note"
    print(f"{mark}  {finding.name:14} {finding.detail}", flush=True)
    if not finding.ok and finding.remedy:
        print(f"      {'':14} -> {finding.remedy}", flush=True)
