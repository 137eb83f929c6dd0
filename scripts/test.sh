#!/usr/bin/env bash
# Runs every test: what fits in one process, two side by side; then what starts or kills processes, three, as these mostly
# wait. The last line counts both parts; both run even where the first fails.
set -uo pipefail
cd "$(dirname "$0")/.."
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT

status=0
.venv/bin/python -m pytest -n 2 --dist loadfile -m "not loop and not faults" --junitxml "$reports/unit.xml" || status=1
.venv/bin/python -m pytest -n 3 --dist loadgroup -m "loop or faults" --junitxml "$reports/processes.xml" || status=1
.venv/bin/python scripts/count_tests.py "$reports"/*.xml || status=1
exit "$status"
