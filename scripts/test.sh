#!/usr/bin/env bash
# Runs every test: what fits in one process, then what starts or kills processes (these mostly wait). Two side by side in both.
# The last line counts both parts; both run even where the first fails.
set -uo pipefail
cd "$(dirname "$0")/.."
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

status=0
.venv/bin/python -m pytest -n 2 --dist loadfile -m "not loop and not faults" --junitxml "$reports/unit.xml" || status=1
.venv/bin/python -m pytest -n 2 --dist loadgroup -m "loop or faults" --junitxml "$reports/processes.xml" || status=1
.venv/bin/python scripts/count_tests.py "$reports"/*.xml || status=1
exit "$status"
