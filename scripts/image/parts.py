"""Prints what the image in which it runs consists of: MB by package, and a checksum over all files.

    podman run --rm IMAGE python - < scripts/image/parts.py

Two images with the same checksum hold the same files: paths, modes, owners and contents; times are not compared.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

SHOWN = 16  # the largest parts; the rest is one line
NOT_OURS = ("/proc", "/sys", "/dev", "/tmp", "/run", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf")
SITE = "/opt/ramp/lib/python3.11/site-packages/"
DPKG = Path("/var/lib/dpkg/info")


def main() -> int:
    """Always 0."""
    sizes: Counter[str] = Counter()
    total, owners = hashlib.sha256(), debian_owners()
    names = python_owners()
    for path in files(Path("/")):
        sizes[part(str(path), owners, names)] += path.lstat().st_size
        total.update(described(path).encode())
    largest = sizes.most_common(SHOWN)
    rest = sum(sizes.values()) - sum(size for _, size in largest)
    for name, size in [*largest, ("everything else", rest), ("all files", sum(sizes.values()))]:
        print(f"{size / 1e6:8.1f} MB  {name}")
    print(f"files: sha256:{total.hexdigest()}")
    return 0


def files(root: Path) -> Iterator[Path]:
    """Every file and link of the image in a fixed order; what the engine puts there at run time is left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not str(Path(folder, name)).startswith(NOT_OURS))
        for name in sorted(names):
            path = Path(folder, name)
            if not str(path).startswith(NOT_OURS):
                yield path


def described(path: Path) -> str:
    """What must be the same in an equal image."""
    found = path.lstat()
    linked = stat.S_ISLNK(found.st_mode)
    content = str(path.readlink()) if linked else _checksum(path)
    return f"{path} {found.st_mode:o} {found.st_uid}:{found.st_gid} {content}\n"


def _checksum(path: Path) -> str:
    if not os.access(path, os.R_OK):
        return "unreadable"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def debian_owners() -> dict[str, str]:
    """The Debian package of each path."""
    return {
        path: f"{listing.stem.split(':')[0]} (Debian)"
        for listing in sorted(DPKG.glob("*.list"))
        for path in listing.read_text(encoding="utf-8").splitlines()
    }


def python_owners() -> dict[str, str]:
    """The distribution of each top-level name in site-packages; of a shared one, the last by name."""
    return {
        file.parts[0]: f"{each.name} {each.version}"
        for each in sorted(distributions(), key=lambda each: each.name)
        for file in each.files or ()
        if file.parts[0] not in ("..", "__pycache__")
    }


def part(path: str, debian: dict[str, str], python: dict[str, str]) -> str:
    """Whose file this is."""
    if path.startswith(SITE):
        top = path.removeprefix(SITE).split("/")[0]
        return python.get(top, "Python, other")
    return debian.get(path) or debian.get(path.removeprefix("/usr"), "system, other")


if __name__ == "__main__":
    sys.exit(main())
