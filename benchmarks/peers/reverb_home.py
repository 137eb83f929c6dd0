"""Reverb in an environment of its own: it needs a TensorFlow that our packages cannot live with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.runs import MeasurementError

HOME = Path(__file__).parents[2] / ".bench" / "reverb"
PACKAGES = ("dm-reverb==0.14.0", "tensorflow==2.15.1", "dm-tree==0.1.10", "numpy==1.26.4")
LIMIT_S = 900.0  # to download and install 1.7 GB


def reverb_python(home: Path = HOME, packages: Sequence[str] = PACKAGES) -> Path:
    """The interpreter that can import Reverb; installs it where it is not there yet.

    Raises MeasurementError with the reason where it cannot be had.
    """
    python, ready = home / "bin" / "python", home / "ready"
    if not ready.exists() or ready.read_text(encoding="utf-8").split() != list(packages):
        print(f"installing {packages[0]} into {home} (a minute or two, 1.7 GB)", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
        ready.write_text("\n".join(packages), encoding="utf-8")
    _run([str(python), "-c", "import reverb"])
    return python


def _run(command: Sequence[str]) -> None:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MeasurementError(f"Reverb cannot be had here: {error}") from error
    if ended.returncode:
        lines = (ended.stderr or ended.stdout).strip().splitlines() or ["no message"]
        raise MeasurementError(f"Reverb cannot be had here: {lines[-1][:200]}")
