"""What a report has to say of the machine and of the source that ran on it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("torch", "ray", "deepspeed", "mujoco", "metaworld", "pyarrow", "grpcio")


def describe() -> Mapping[str, str | int]:
    """Host, processor, memory and the versions that decide how fast and how well a run goes."""
    facts = os.uname()
    return {
        "host": facts.nodename,
        "platform": f"{facts.sysname} {facts.release} {facts.machine}",
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "python": ".".join(map(str, sys.version_info[:3])),
        **{name: _version(name) for name in PACKAGES},
    }


def commit() -> str:
    """The source tree's git commit, with "+" where files differ from it; "" where there is no git."""
    home = Path(__file__).resolve().parents[2]
    head = _git(home, "rev-parse", "HEAD")
    return head + ("+" if head and _git(home, "status", "--porcelain", "--untracked-files=no") else "")


def _git(home: Path, *words: str) -> str:
    try:
        answer = subprocess.run(
            ["git", "-C", str(home), *words], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
