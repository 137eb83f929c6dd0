"""A real policy server process for tests: started, killed, started again at the same address."""

from __future__ import annotations

from pathlib import Path

from tests.replay_process import ReplayProcess


class PolicyProcess(ReplayProcess):
    """Serves the registry in `folder`, by the settings that lie there, else the counting recipe's with `overrides`."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        super().__init__(folder, *overrides, name=".")
        self.module = "services.policy.main"

    @property
    def port(self) -> str:
        return self.address.rpartition(":")[2] or "0"
