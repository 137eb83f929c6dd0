"""helm and kubectl, as `make tools` installs them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "ramp"


def program(name: str) -> str:
    """Its path. Raises FileNotFoundError."""
    found = shutil.which(name, path=str(ROOT / ".tools" / "bin")) or shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; run make tools")
    return found


def template(release: str, options: Sequence[str], *, namespace: str = "ramp", helm: str = "helm4") -> str:
    """What the chart becomes. Raises CalledProcessError, with helm's message in `stderr`."""
    command = [program(helm), "template", release, str(CHART), "--namespace", namespace, *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
