"""Programs that tests need beside Python: those that `make tools` installs, else those on PATH."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.sources import ROOT

BIN = ROOT / ".tools" / "bin"


def tool(name: str) -> Path:
    """Where it is; skips the test where it is not."""
    found = shutil.which(name, path=str(BIN)) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; run make tools")
    return Path(found)
