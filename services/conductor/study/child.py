"""A learner process that speaks JSON lines: what it says of its updates, and what it has found at its end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ramp.errors import RampError
from services.common.settings import child_environment

Said = dict[str, Any]
Tell = Callable[[Said], None]


def ask(module: str, words: Sequence[str], log: Path, tell: Tell) -> Said:
    """The last line of `python -m MODULE WORDS`; earlier ones, with the key "update", are told as they come.

    The process ends with this call, however it ends. Raises RampError where it fails or finds nothing.
    """
    command, found = [sys.executable, "-m", module, *words], None
    with (
        log.open("a", encoding="utf-8") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=child_environment(), text=True) as child,
    ):
        try:
            found = _listen(child, tell)
        finally:
            child.kill()
    if found is None:
        raise RampError(f"training failed ({' '.join(words)}): see {log}")
    return found


def _listen(child: subprocess.Popen[str], tell: Tell) -> Said | None:
    assert child.stdout is not None
    found: Said | None = None
    for line in child.stdout:
        if not line.startswith("{"):  # DeepSpeed greets on standard output
            continue
        said = json.loads(line)
        if "update" in said:
            tell(said)
        else:
            found = said
    return found if child.wait() == 0 else None
