"""Adds up pytest's JUnit files and prints one closing line: `812 passed, 0 failed, 3 skipped in 401 s`."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence


def count(paths: Sequence[str]) -> dict[str, float]:
    """Totals over the files: tests, failed (failures and errors), skipped, seconds."""
    totals = {"tests": 0.0, "failed": 0.0, "skipped": 0.0, "seconds": 0.0}
    for path in paths:
        for suite in ElementTree.parse(path).getroot().iter("testsuite"):
            totals["tests"] += int(suite.get("tests", 0))
            totals["failed"] += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            totals["skipped"] += int(suite.get("skipped", 0))
            totals["seconds"] += float(suite.get("time", 0))
    return totals


def main() -> int:
    totals = count(sys.argv[1:])
    failed, skipped = totals["failed"], totals["skipped"]
    passed = totals["tests"] - failed - skipped
    print(f"{passed:.0f} passed, {failed:.0f} failed, {skipped:.0f} skipped in {totals['seconds']:.0f} s")
    return int(totals["failed"] > 0 or totals["tests"] == 0)


if __name__ == "__main__":
    sys.exit(main())
