"""The coverage-guided fuzzer at the size of every test run: as `python -m tests.fuzz`, about 35 s."""

from __future__ import annotations

import platform
import re
import subprocess
import sys

import pytest

from services.common.settings import child_environment
from tests.unit.sources import ROOT

INPUTS = 100_000


@pytest.mark.faults
@pytest.mark.skipif(platform.machine() != "x86_64", reason="atheris is built for x86-64 only")
def test_a_hundred_thousand_inputs_find_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--inputs", str(INPUTS)],
        cwd=ROOT,
        env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}"),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    told = re.search(r"^(\d+) inputs", done.stdout, re.MULTILINE)
    assert told is not None
    assert int(told[1]) >= INPUTS
