"""Writes deploy/image/NAME.lock: every package that the image installs, with the checksum of the file it comes from.

    python scripts/image/lock.py build|cpu|cuda [options of pip]

requirements.lock says which version, pyproject.toml what is needed; pip resolves both without installing anything. The
wheels are those of the interpreter that runs this: Python 3.11 on Linux x86-64, as in the image. Where pip finds a CPU
build of torch first (an index or a folder with +cpu wheels in its configuration), `cuda` needs `--isolated`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WANTED = {"build": ("pip", "setuptools"), "cpu": (".", "async-timeout"), "cuda": (".[full]", "async-timeout")}
"""The image has Debian 12's Python 3.11.2; before 3.11.3 redis needs async-timeout."""
OURS = "ramp-fleet"
HEAD = "# Made by `python scripts/image/lock.py {name}` from requirements.lock and pyproject.toml; not to be edited.\n"


def main(arguments: Sequence[str]) -> int:
    """0 when the file is written; 2 where the arguments or what pip found do not fit."""
    if not arguments or arguments[0] not in WANTED:
        print(__doc__, file=sys.stderr)
        return 2
    name, *options = arguments
    try:
        text = HEAD.format(name=name) + "".join(f"{line}\n" for line in lines(resolved(WANTED[name], options)))
        check_torch(name, text)
    except ValueError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 2
    (ROOT / "deploy" / "image" / f"{name}.lock").write_text(text, encoding="utf-8")
    return 0


def resolved(wanted: Sequence[str], options: Sequence[str]) -> list[dict[str, Any]]:
    """What pip would install for these requirements, as its report says. Raises CalledProcessError."""
    argv = [sys.executable, "-m", "pip", *options, "install", "--quiet", "--dry-run", "--ignore-installed"]
    argv += ["--constraint", "requirements.lock", "--report", "-", *wanted]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return list(json.loads(done.stdout)["install"])


def lines(installs: Sequence[dict[str, Any]]) -> list[str]:
    """`name==version --hash=sha256:...`, sorted by name; this project itself is left out. Raises ValueError."""
    return sorted((_line(each) for each in installs if each["metadata"]["name"] != OURS), key=str.lower)


def _line(install: dict[str, Any]) -> str:
    name, version = install["metadata"]["name"], install["metadata"]["version"]
    checksum = install["download_info"].get("archive_info", {}).get("hashes", {}).get("sha256")
    if not checksum:
        raise ValueError(f"pip knows no checksum of {name} {version} from {install['download_info']['url']}")
    return f"{name}=={version} --hash=sha256:{checksum}"


def check_torch(name: str, text: str) -> None:
    """Raises ValueError where the variant has the other one's torch."""
    if name in ("cpu", "cuda") and ("+cpu" in text) != (name == "cpu"):
        remedy = {"cpu": "name an index with CPU builds by PIP_EXTRA_INDEX_URL", "cuda": "add --isolated"}[name]
        raise ValueError(f"pip found another torch than {name} needs: {remedy}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
