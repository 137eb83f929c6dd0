"""A process that serves one fresh shard after the other: starting one for each test would take most of the time."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from services.common.settings import child_environment
from tests.unit.sources import ROOT


class ShardProcess:
    """Serves the contract's tables on one directory at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.shard_process"],
            cwd=ROOT,
            env=child_environment(PYTHONPATH=f"{ROOT}:{ROOT / 'proto'}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def serve(self, folder: Path) -> str:
        """The address of a new shard; the one before is closed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{folder}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def main() -> None:
    from tests.contract.test_replay import served

    with ExitStack() as stack:
        for line in sys.stdin:
            stack.close()
            print(served(Path(line.strip()), stack, "mapped"), flush=True)


if __name__ == "__main__":
    main()
