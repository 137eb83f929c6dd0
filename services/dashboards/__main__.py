"""Writes dashboards and rules: `make dashboards`.

python -m services.dashboards helm/ramp
"""

from __future__ import annotations

import sys
from pathlib import Path

from services.dashboards.generated import files


def main(folder: Path) -> int:
    """Replaces what lies below `folder`; leaves nothing of a dashboard that there is no more."""
    for name in ("dashboards", "rules"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for old in (folder / name).iterdir():
            old.unlink()
    for path, text in files().items():
        (folder / path).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
