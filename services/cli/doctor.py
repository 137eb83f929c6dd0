"""`ramp doctor`: is this machine fit for a run?"""

from __future__ import annotations

import json
from dataclasses import asdict

from services.cli.options import Json


def doctor(as_json: Json = False) -> int:
    """Check this machine by trying everything a run needs, and say which command repairs what is missing.

    \b
    Exit code 0: ready. 1: something needed is missing.

    \b
    Examples:
      ramp doctor
      ramp doctor --json | jq '.checks[] | select(.ok | not)'
    """
    from services.cli.checks import CHECKS

    findings = []
    for check in CHECKS:
        finding = check()
        findings.append(finding)
        if not as_json:
            mark = "ok  " if finding.ok else "MISS" if finding.needed else "note"
            print(f"{mark}  {finding.name:14} {finding.detail}", flush=True)
            if not finding.ok and finding.remedy:
                print(f"      {'':14} -> {finding.remedy}", flush=True)
    ready = all(finding.ok or not finding.needed for finding in findings)
    if as_json:
        print(json.dumps({"ready": ready, "checks": [asdict(finding) for finding in findings]}))
    else:
        print("ready: ramp run" if ready else "not ready: repair what is marked MISS")
    return 0 if ready else 1
